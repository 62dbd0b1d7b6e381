#include "quantizers.hpp"

#include <cuda_bf16.h>

#include <reset/nvfp4/quantize.cuh>

#include "launcher.hpp"

namespace bench {
namespace {

const __nv_bfloat16* bf16(const void* data) { return static_cast<const __nv_bfloat16*>(data); }

reset::QuantizeOptions dependent() {
  reset::QuantizeOptions options;
  options.dependent_launch = true;
  return options;
}

}  // namespace

void launch_quantize(const void* x, std::int64_t ld, const reset::Nvfp4MutableMatrixView& out, cudaStream_t stream) {
  require(reset::quantize_activations(bf16(x), ld, out, dependent(), stream));
}

void launch_rms_norm_quantize(const void* x, std::int64_t ld, const void* weight, void* residual,
                              const reset::Nvfp4MutableMatrixView& out, cudaStream_t stream) {
  reset::RmsNorm<__nv_bfloat16> norm;
  norm.weight = bf16(weight);
  norm.residual = static_cast<__nv_bfloat16*>(residual);
  norm.residual_stride = out.cols;
  require(reset::rms_norm_quantize(bf16(x), ld, norm, out, dependent(), stream));
}

void launch_silu_mul_quantize(const void* x, std::int64_t ld, const reset::Nvfp4MutableMatrixView& out,
                              cudaStream_t stream) {
  require(reset::silu_mul_quantize(bf16(x), ld, reset::GateOrder::kGateUp, out, dependent(), stream));
}

}  // namespace bench
