// The parts of split attention become the result: a sum of weighted sums, each shifted to the largest maximum.
#include <cmath>
#include <cstdint>

#include <reset/nvfp4/quantize.cuh>

#include "attention.hpp"
#include "launch.cuh"

namespace engine::cuda {
namespace {

// What `reset::quantize_source` asks for: eight neighbouring values of a row.
struct Merge {
  const float* parts;
  const float2* part_sums;
  int heads;
  int head_dim;
  int splits;

  __device__ void load(std::int64_t row, std::int64_t octet, float (&values)[8]) const {
    const auto column = static_cast<int>(octet * 8);
    const std::int64_t first = (row * heads + column / head_dim) * splits;
    float most = -INFINITY;
#pragma unroll 8
    for (int split = 0; split < splits; ++split) most = fmaxf(most, part_sums[first + split].x);
    float total = 0.0f;
    for (float& value : values) value = 0.0f;
#pragma unroll 4
    for (int split = 0; split < splits; ++split) {
      const float2 part = part_sums[first + split];
      if (part.x == -INFINITY) continue;  // nothing was written for it
      const float factor = exp2f(part.x - most);
      total += factor * part.y;
      const auto* from = reinterpret_cast<const float4*>(parts + (first + split) * head_dim + column % head_dim);
      const float4 low = from[0];
      const float4 high = from[1];
      const float sums[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
      for (int i = 0; i < 8; ++i) values[i] += factor * sums[i];
    }
    if (total == 0.0f) return;
    for (float& value : values) value /= total;
  }
};

constexpr int kThreads = 128;

__global__ __launch_bounds__(kThreads) void merge_kernel(Merge source, std::int64_t octets, __nv_bfloat16* out) {
  begin_dependent();
  const std::int64_t octet = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (octet >= octets) return;
  const std::int64_t row = blockIdx.y;
  float values[8];
  source.load(row, octet, values);
  __nv_bfloat162 pairs[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) pairs[i] = __floats2bfloat162_rn(values[2 * i], values[2 * i + 1]);
  reinterpret_cast<uint4*>(out)[row * octets + octet] = *reinterpret_cast<const uint4*>(pairs);
}

Merge source_of(const AttentionCall& call) {
  return {call.parts, call.part_sums, call.shape.heads, call.shape.head_dim, call.shape.splits};
}

}  // namespace

void merge(const AttentionCall& call, __nv_bfloat16* out, const Stream& stream) {
  const std::int64_t octets = call.shape.heads * call.shape.head_dim / 8;
  const dim3 grid(static_cast<unsigned>((octets + kThreads - 1) / kThreads), call.rows);
  launch(merge_kernel, grid, dim3(kThreads), 0, stream, source_of(call), octets, out);
}

void merge_quantize(const AttentionCall& call, const reset::Nvfp4MutableMatrixView& out, const Stream& stream) {
  reset::QuantizeOptions options;
  options.dependent_launch = stream.dependent;
  reset::throw_if_failed(reset::quantize_source(source_of(call), out, options, stream.handle));
}

}  // namespace engine::cuda
