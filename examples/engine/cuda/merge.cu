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

constexpr int kMostWarps = 8;

__device__ float4 scaled_sum(float4 sum, float factor, float4 x) {
  return {sum.x + factor * x.x, sum.y + factor * x.y, sum.z + factor * x.z, sum.w + factor * x.w};
}

// What a row becomes: bfloat16, or NVFP4 in the same way.
struct DenseRows {
  __nv_bfloat16* out;
  std::int64_t cols;

  __device__ void store(const float (&values)[8], std::int64_t row, std::int64_t octet, bool present) const {
    if (!present) return;
    alignas(16) __nv_bfloat162 pairs[4];
    for (int i = 0; i < 4; ++i) pairs[i] = __floats2bfloat162_rn(values[2 * i], values[2 * i + 1]);
    reinterpret_cast<uint4*>(out + row * cols)[octet] = *reinterpret_cast<const uint4*>(pairs);
  }
};

struct QuantisedRows {
  reset::Nvfp4MutableMatrixView out;

  __device__ void store(const float (&values)[8], std::int64_t row, std::int64_t octet, bool present) const {
    reset::quantize_octet(values, row, octet, present, out);
  }
};

// A CTA a head of a row. Its warps share the parts, a lane four columns of them; lane i has the sums of part i. The
// first warp adds up what they have, a lane eight columns.
template <class Output>
__global__ __launch_bounds__(32 * kMostWarps) void merge_kernel(Parts parts, Output output) {
  begin_dependent();
  __shared__ float4 of_warp[kMostWarps][32];
  const int warps = static_cast<int>(blockDim.x) / 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int quads = parts.head_dim / 4;
  const std::int64_t first = (static_cast<std::int64_t>(blockIdx.y) * parts.heads + blockIdx.x) * parts.splits;
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
  if (warp != 0) return;
  const int octets = parts.head_dim / 8;
  const bool present = lane < octets;
  float4 low = {};
  float4 high = {};
  for (int other = 0; present && other < warps; ++other) {
    low = scaled_sum(low, 1.0f, of_warp[other][2 * lane]);
    high = scaled_sum(high, 1.0f, of_warp[other][2 * lane + 1]);
  }
  const float share = total == 0.0f ? 0.0f : 1.0f / total;
  const float values[8] = {low.x * share,  low.y * share,  low.z * share,  low.w * share,
                           high.x * share, high.y * share, high.z * share, high.w * share};
  output.store(values, blockIdx.y, static_cast<std::int64_t>(blockIdx.x) * octets + lane, present);
}

template <class Output>
void merge_into(const AttentionCall& call, const Output& output, const Stream& stream) {
  const int warps = call.shape.splits < kMostWarps ? call.shape.splits : kMostWarps;
  launch(merge_kernel<Output>, dim3(static_cast<unsigned>(call.shape.heads), static_cast<unsigned>(call.rows)),
         dim3(static_cast<unsigned>(32 * warps)), 0, stream, parts_of(call), output);
}

}  // namespace

void merge(const AttentionCall& call, __nv_bfloat16* out, const Stream& stream) {
  merge_into(call, DenseRows{out, static_cast<std::int64_t>(call.shape.heads) * call.shape.head_dim}, stream);
}

void merge_quantize(const AttentionCall& call, const reset::Nvfp4MutableMatrixView& out, const Stream& stream) {
  reset::throw_if_failed(validate(out));
  merge_into(call, QuantisedRows{out}, stream);
}

}  // namespace engine::cuda
