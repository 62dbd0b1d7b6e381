// The parts of split attention become the result: a sum of weighted sums, each shifted to the largest maximum. What
// takes the time is the way to the parts, so they are asked for before it is known which of them were written.
#include <cmath>
#include <cstdint>

#include <reset/nvfp4/quantize.cuh>

#include "attention.hpp"
#include "launch.cuh"

namespace engine::cuda {
namespace {

struct Parts {
  const float* values;  // [row][head][split][head_dim]
  const float2* sums;   // [row][head][split]: maximum and sum; a sum of 0: not written, and none behind it is
  int heads;
  int head_dim;
  int splits;
};

Parts parts_of(const AttentionCall& call) {
  return {call.parts, call.part_sums, call.shape.heads, call.shape.head_dim, call.shape.splits};
}

// What `reset::quantize_source` asks for: eight neighbouring values of a row.
struct Merge {
  Parts parts;

  // Eight parts at a time: a loop that looked at one after the other would wait for each of them.
  __device__ void load(std::int64_t row, std::int64_t octet, float (&values)[8]) const {
    constexpr int kBatch = 8;
    const auto column = static_cast<int>(octet * 8);
    const std::int64_t first = (row * parts.heads + column / parts.head_dim) * parts.splits;
    float2 sums[kMaxSplits];
#pragma unroll
    for (int split = 0; split < kMaxSplits; ++split) {
      sums[split] = split < parts.splits ? parts.sums[first + split] : make_float2(-INFINITY, 0.0f);
    }
    int present = parts.splits;
    float most = -INFINITY;
    float total = 0.0f;
    for (float& value : values) value = 0.0f;
#pragma unroll
    for (int batch = 0; batch < kMaxSplits; batch += kBatch) {
      if (batch >= present) break;
      float4 part[kBatch][2];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const std::int64_t at = first + min(batch + i, parts.splits - 1);
        const auto* from =
            reinterpret_cast<const float4*>(parts.values + at * parts.head_dim + column % parts.head_dim);
        part[i][0] = from[0];
        part[i][1] = from[1];
      }
      if (batch == 0) look_at(sums, most, present);
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        if (batch + i >= present) break;
        const float factor = exp2f(sums[batch + i].x - most);
        total += factor * sums[batch + i].y;
        add(values, factor, part[i]);
      }
    }
    if (total == 0.0f) return;
    for (float& value : values) value /= total;
  }

 private:
  static __device__ void look_at(const float2 (&sums)[kMaxSplits], float& most, int& present) {
    present = 0;
#pragma unroll
    for (const float2 sum : sums) {
      most = fmaxf(most, sum.x);
      present += sum.y == 0.0f ? 0 : 1;  // a NaN is present
    }
  }

  static __device__ void add(float (&values)[8], float factor, const float4 (&part)[2]) {
    const float4 a = part[0];
    const float4 b = part[1];
    const float sums[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
    for (int i = 0; i < 8; ++i) values[i] += factor * sums[i];
  }
};

constexpr int kMostWarps = 8;

__device__ float4 scaled_sum(float4 sum, float factor, float4 x) {
  return {sum.x + factor * x.x, sum.y + factor * x.y, sum.z + factor * x.z, sum.w + factor * x.w};
}

// A CTA a head of a row. Its warps share the parts, a lane four columns of them; lane i has the sums of part i.
__global__ __launch_bounds__(32 * kMostWarps) void merge_kernel(Parts parts, __nv_bfloat16* out) {
  begin_dependent();
  __shared__ float4 of_warp[kMostWarps][32];
  const int warps = static_cast<int>(blockDim.x) / 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int quads = parts.head_dim / 4;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * parts.splits;
  float4 part[kMaxSplits / kMostWarps];
#pragma unroll
  for (int i = 0; i < kMaxSplits / kMostWarps; ++i) {
    const int split = warp + i * warps;
    if (split >= parts.splits || lane >= quads) continue;
    part[i] = reinterpret_cast<const float4*>(parts.values)[(first + split) * quads + lane];
  }
  const float2 own = lane < parts.splits ? parts.sums[first + lane] : make_float2(-INFINITY, 0.0f);
  float most = own.x;
  for (int distance = 16; distance > 0; distance /= 2) {
    most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, distance));
  }
  const float factor = own.y == 0.0f ? 0.0f : exp2f(own.x - most);
  float total = factor * own.y;
  for (int distance = 16; distance > 0; distance /= 2) total += __shfl_xor_sync(0xffffffffu, total, distance);
  float4 sum = {};
#pragma unroll
  for (int i = 0; i < kMaxSplits / kMostWarps; ++i) {
    const int split = warp + i * warps;
    const float part_factor = __shfl_sync(0xffffffffu, factor, split);
    // Not written, or too small to count; a NaN counts.
    if (split < parts.splits && part_factor != 0.0f) sum = scaled_sum(sum, part_factor, part[i]);
  }
  of_warp[warp][lane] = sum;
  __syncthreads();
  if (warp != 0 || lane >= quads) return;
  for (int other = 1; other < warps; ++other) sum = scaled_sum(sum, 1.0f, of_warp[other][lane]);
  const float share = total == 0.0f ? 0.0f : 1.0f / total;
  __nv_bfloat162 pairs[2] = {__floats2bfloat162_rn(sum.x * share, sum.y * share),
                             __floats2bfloat162_rn(sum.z * share, sum.w * share)};
  reinterpret_cast<uint2*>(out)[static_cast<std::int64_t>(blockIdx.x) * quads + lane] =
      *reinterpret_cast<const uint2*>(pairs);
}

}  // namespace

void merge(const AttentionCall& call, __nv_bfloat16* out, const Stream& stream) {
  const auto heads = static_cast<unsigned>(call.rows * call.shape.heads);
  const int warps = call.shape.splits < kMostWarps ? call.shape.splits : kMostWarps;
  launch(merge_kernel, dim3(heads), dim3(static_cast<unsigned>(32 * warps)), 0, stream, parts_of(call), out);
}

void merge_quantize(const AttentionCall& call, const reset::Nvfp4MutableMatrixView& out, const Stream& stream) {
  reset::QuantizeOptions options;
  options.dependent_launch = stream.dependent;
  reset::throw_if_failed(reset::quantize_source(Merge{parts_of(call)}, out, options, stream.handle));
}

}  // namespace engine::cuda
