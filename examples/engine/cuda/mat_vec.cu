#include "mat_vec.hpp"

#include <reset/gemv/launch.cuh>
#include <reset/nvfp4/dequantize.cuh>
#include <reset/nvfp4/quantize.cuh>

namespace engine::cuda {
namespace {

reset::QuantizeOptions quantize_options(const Stream& stream) {
  reset::QuantizeOptions options;
  options.dependent_launch = stream.dependent;
  return options;
}

}  // namespace

reset::DeviceInfo prepare_mat_vec(int device) {
  reset::DeviceInfo info;
  reset::throw_if_failed(reset::gemv_prepare(device, info));
  return info;
}

void mat_vec(const reset::GemvProblem& problem, const reset::GemvPolicy& policy, const reset::Prefetch& ahead,
             const reset::DeviceInfo& device, const Stream& stream) {
  reset::LaunchOptions options;
  options.dependent_launch = stream.dependent;
  options.prefetch = ahead;
  reset::throw_if_failed(reset::gemv(problem, policy, device, options, stream.handle));
}

void rms_norm_quantize(const __nv_bfloat16* x, std::int64_t ld, const __nv_bfloat16* weight, float epsilon,
                       const reset::Nvfp4MutableMatrixView& out, const Stream& stream) {
  reset::RmsNorm<__nv_bfloat16> norm;
  norm.weight = weight;
  norm.epsilon = epsilon;
  reset::throw_if_failed(reset::rms_norm_quantize(x, ld, norm, out, quantize_options(stream), stream.handle));
}

void silu_mul_quantize(const __nv_bfloat16* gate_up, std::int64_t ld, const reset::Nvfp4MutableMatrixView& out,
                       const Stream& stream) {
  reset::throw_if_failed(
      reset::silu_mul_quantize(gate_up, ld, reset::GateOrder::kGateUp, out, quantize_options(stream), stream.handle));
}

void dequantize(const reset::Nvfp4MatrixView& matrix, __nv_bfloat16* out, const Stream& stream) {
  reset::DequantizeOptions options;
  reset::throw_if_failed(reset::dequantize_matrix(matrix, out, matrix.cols, options, stream.handle));
}

}  // namespace engine::cuda
