#include "launcher.hpp"

#include <cuda_bf16.h>

#include <algorithm>

#include <reset/nvfp4/dequantize.cuh>
#include <reset/nvfp4/quantize.cuh>

#include "../gemv/launcher.hpp"

namespace bench {
namespace {

constexpr int kFloorThreads = 256;

__global__ __launch_bounds__(kFloorThreads) void read_and_write(const uint4* from, std::size_t read, uint4* to,
                                                                std::size_t written) {
  constexpr int kUnroll = 4;
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * kFloorThreads;
  const std::size_t first = static_cast<std::size_t>(blockIdx.x) * kFloorThreads + threadIdx.x;
  reset::detail::release_dependents();
  reset::detail::wait_for_dependencies();
  uint4 sum = {};
  const auto add = [&sum](const uint4& words) {
    sum = {sum.x ^ words.x, sum.y ^ words.y, sum.z ^ words.z, sum.w ^ words.w};
  };
  std::size_t i = first;
  for (; i + (kUnroll - 1) * step < read; i += kUnroll * step) {
    uint4 words[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) words[u] = __ldcs(from + i + u * step);
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) add(words[u]);
  }
  for (; i < read; i += step) add(__ldcs(from + i));
  for (i = first; i < written; i += step) to[i] = sum;
}

const __nv_bfloat16* bf16(const void* data) { return static_cast<const __nv_bfloat16*>(data); }

}  // namespace

void launch_dequantize(const reset::Nvfp4MatrixView& weights, void* out, bool pdl, cudaStream_t stream) {
  reset::DequantizeOptions options;
  options.dependent_launch = pdl;
  require(reset::dequantize_matrix(weights, static_cast<__nv_bfloat16*>(out), weights.cols, options, stream));
}

void launch_quantizer(Quantizer quantizer, const Activations& from, const reset::Nvfp4MutableMatrixView& out, bool pdl,
                      cudaStream_t stream) {
  const __nv_bfloat16* x = bf16(from.x);
  reset::QuantizeOptions options;
  options.dependent_launch = pdl;
  switch (quantizer) {
    case Quantizer::kPlain:
      return require(reset::quantize_activations(x, out.cols, out, options, stream));
    case Quantizer::kRmsNorm: {
      const reset::RmsNorm<__nv_bfloat16> norm{bf16(from.weight), 1e-6f, static_cast<__nv_bfloat16*>(from.residual),
                                               out.cols};
      return require(reset::rms_norm_quantize(x, out.cols, norm, out, options, stream));
    }
    case Quantizer::kSiluMul:
      return require(reset::silu_mul_quantize(x, 2 * out.cols, reset::GateOrder::kGateUp, out, options, stream));
  }
}

void launch_floor(const void* from, void* to, Traffic traffic, int sm_count, bool pdl, cudaStream_t stream) {
  const std::size_t read = traffic.read / 16;
  const std::size_t written = traffic.written / 16;
  const std::size_t ctas = (std::max(read, written) + kFloorThreads - 1) / kFloorThreads;
  reset::detail::LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(std::min(ctas, static_cast<std::size_t>(sm_count) * 8)));
  shape.block = dim3(kFloorThreads);
  shape.dependent = pdl;
  require(reset::detail::launch(read_and_write, shape, stream, static_cast<const uint4*>(from), read,
                                static_cast<uint4*>(to), written));
}

}  // namespace bench
