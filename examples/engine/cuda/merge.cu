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

  // Parts are asked for eight at a time: a loop that looked at one after the other would wait for each of them.
  __device__ void load(std::int64_t row, std::int64_t octet, float (&values)[8]) const {
    constexpr int kBatch = 8;
    const auto column = static_cast<int>(octet * 8);
    const std::int64_t first = (row * heads + column / head_dim) * splits;
    float2 sums[kMaxSplits];
    int present = 0;  // parts that were written: the first ones
    float most = -INFINITY;
#pragma unroll
    for (int split = 0; split < kMaxSplits; ++split) {
      sums[split] = split < splits ? part_sums[first + split] : make_float2(-INFINITY, 0.0f);
    }
#pragma unroll
    for (int split = 0; split < kMaxSplits; ++split) {
      most = fmaxf(most, sums[split].x);
      present += sums[split].y == 0.0f ? 0 : 1;  // a NaN is present
    }
    float total = 0.0f;
    for (float& value : values) value = 0.0f;
#pragma unroll
    for (int batch = 0; batch < kMaxSplits; batch += kBatch) {
      if (batch >= present) break;
      float4 part[kBatch][2];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const std::int64_t at = first + min(batch + i, present - 1);
        const auto* from = reinterpret_cast<const float4*>(parts + at * head_dim + column % head_dim);
        part[i][0] = from[0];
        part[i][1] = from[1];
      }
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const float factor = batch + i < present ? exp2f(sums[batch + i].x - most) : 0.0f;
        total += factor * sums[batch + i].y;
        add(values, factor, part[i]);
      }
    }
    if (total == 0.0f) return;
    for (float& value : values) value /= total;
  }

 private:
  static __device__ void add(float (&values)[8], float factor, const float4 (&part)[2]) {
    const float4 a = part[0];
    const float4 b = part[1];
    const float sums[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
    for (int i = 0; i < 8; ++i) values[i] += factor * sums[i];
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
