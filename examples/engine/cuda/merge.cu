// The parts of split attention become the result: a sum of weighted sums, each shifted to the largest maximum. What
// takes the time is the way to the parts, so they are asked for before it is known which of them were written.
#include <cmath>
#include <cstdint>

#include <reset/nvfp4/quantize.cuh>

#include "attention.hpp"
#include "attention_parts.cuh"
#include "launch.cuh"

namespace engine::cuda {
namespace {

Parts parts_of(const AttentionCall& call) {
  return {call.parts, call.part_sums, call.shape.heads, call.shape.head_dim, call.shape.splits};
}

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
  float4 part[kMaxSplits / kMostWarps] = {};
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
  const unsigned written = __ballot_sync(0xffffffffu, own.y != 0.0f);  // a NaN is written
  const float factor = own.y == 0.0f ? 0.0f : exp2f(own.x - most);
  float total = factor * own.y;
  for (int distance = 16; distance > 0; distance /= 2) total += __shfl_xor_sync(0xffffffffu, total, distance);
  float4 sum = {};
#pragma unroll
  for (int i = 0; i < kMaxSplits / kMostWarps; ++i) {
    const int split = warp + i * warps;
    const float part_factor = __shfl_sync(0xffffffffu, factor, split);
    if (split < parts.splits && (written >> split & 1) != 0) sum = scaled_sum(sum, part_factor, part[i]);
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
