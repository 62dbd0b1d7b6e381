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

  // All parts are asked for at once: a loop that looked at one after the other would wait for each of them.
  __device__ void load(std::int64_t row, std::int64_t octet, float (&values)[8]) const {
    const auto column = static_cast<int>(octet * 8);
    const std::int64_t first = (row * heads + column / head_dim) * splits;
    float2 sums[kMaxSplits];
    float4 low[kMaxSplits];
    float4 high[kMaxSplits];
#pragma unroll
    for (int split = 0; split < kMaxSplits; ++split) {
      const std::int64_t part = first + min(split, splits - 1);
      const auto* from = reinterpret_cast<const float4*>(parts + part * head_dim + column % head_dim);
      sums[split] = part_sums[part];
      low[split] = from[0];
      high[split] = from[1];
    }
    float most = -INFINITY;
#pragma unroll
    for (int split = 0; split < kMaxSplits; ++split) most = fmaxf(most, sums[split].x);
    float total = 0.0f;
    for (float& value : values) value = 0.0f;
#pragma unroll
    for (int split = 0; split < kMaxSplits; ++split) {
      if (split >= splits || sums[split].x == -INFINITY) continue;  // nothing was written for it
      const float factor = exp2f(sums[split].x - most);
      total += factor * sums[split].y;
      const float4 a = low[split];
      const float4 b = high[split];
      const float part[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
      for (int i = 0; i < 8; ++i) values[i] += factor * part[i];
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
