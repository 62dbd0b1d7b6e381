// What the warps of an attention CTA do with a tile: scores, softmax weights, weighted sums; and how they end as a
// part.
#pragma once

#include <cuda_bf16.h>

#include <cmath>
#include <cstdint>

#include "attention.hpp"
#include "mma.cuh"

namespace engine::cuda {

constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;
constexpr int kTileTokens = 16 * kWarps;  // a warp takes 16 of a tile
constexpr int kMostGroup = 16;            // query heads a key-value head: the rows of an mma tile
constexpr float kEmpty = -INFINITY;

// 16 bytes of padding: eight neighbouring rows lie in different banks.
template <int D>
constexpr int kRow = D + 8;

// What a warp has seen: for the rows lane / 4 and, of more than eight query heads, lane / 4 + 8 of the mma tile the
// largest score, the sum of the weights of this thread's columns, and its columns of the weighted sum of values.
template <int D, int kGroup>
struct Running {
  static constexpr int kHalves = kGroup / 8;  // of the mma tile
  float largest[kHalves];
  float sum[kHalves] = {};
  float out[D / 8][4] = {};

  __device__ Running() {
    for (float& value : largest) value = kEmpty;
  }

  // Moves to a larger maximum; scores are in powers of two.
  __device__ void rescale(int half, float largest_score) {
    const float before = largest[half];
    largest[half] = fmaxf(before, largest_score);
    if (before == largest[half] || before == kEmpty) return;  // or there is nothing yet
    const float factor = exp2f(before - largest[half]);
    sum[half] *= factor;
#pragma unroll
    for (int tile = 0; tile < D / 8; ++tile) {
      out[tile][2 * half] *= factor;
      out[tile][2 * half + 1] *= factor;
    }
  }
};

// 16 columns of the query heads as the left operand of an mma; without heads 8..15 its lower half is 0.
template <int D, int kGroup>
__device__ void load_queries(std::uint32_t (&a)[4], const __nv_bfloat16 (*query)[kRow<D>], int column) {
  const int lane = threadIdx.x % 32;
  if (kGroup > 8) {
    load_matrices(a, &query[lane % 16][column + lane / 16 * 8]);
  } else {
    load_matrices(a[0], a[2], &query[lane % 8][column + lane / 8 % 2 * 8]);
    a[1] = a[3] = 0;
  }
}

// Scores of the query heads with 16 tokens: two sums, so that one product need not wait for the one before it.
template <int D, int kGroup>
__device__ void scores(const __nv_bfloat16 (*query)[kRow<D>], const __nv_bfloat16 (*keys)[kRow<D>],
                       float (&score)[2][4]) {
  const int lane = threadIdx.x % 32;
  float odd[2][4] = {};
#pragma unroll
  for (int k = 0; k < D; k += 16) {
    std::uint32_t a[4];
    std::uint32_t b[4];
    load_queries<D, kGroup>(a, query, k);
    load_matrices(b, &keys[lane % 8 + lane / 16 * 8][k + lane / 8 % 2 * 8]);
    float(&sum)[2][4] = k % 32 == 0 ? score : odd;
    mma(sum[0], a, b[0], b[1]);
    mma(sum[1], a, b[2], b[3]);
  }
#pragma unroll
  for (int i = 0; i < 2 * 4; ++i) score[i / 4][i % 4] += odd[i / 4][i % 4];
}

// The softmax weights of the warp's 16 tokens, of which the first `present` count, as the left operand of an mma.
template <int D, int kGroup>
__device__ void weigh(Running<D, kGroup>& running, float (&score)[2][4], float scale, int present,
                      std::uint32_t (&weights)[4]) {
  const int column = threadIdx.x % 4 * 2;
  weights[1] = weights[3] = 0;
#pragma unroll
  for (int half = 0; half < running.kHalves; ++half) {
    float largest = kEmpty;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float& s = score[i / 2][2 * half + i % 2];
      s = column + i / 2 * 8 + i % 2 < present ? s * scale : kEmpty;
      largest = fmaxf(largest, s);
    }
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
    running.rescale(half, largest);
#pragma unroll
    for (int tile = 0; tile < 2; ++tile) {
      const float low = exp2f(score[tile][2 * half] - running.largest[half]);
      const float high = exp2f(score[tile][2 * half + 1] - running.largest[half]);
      running.sum[half] += low + high;
      weights[2 * tile + half] = pack(low, high);
    }
  }
}

template <int D, int kGroup>
__device__ void add_values(Running<D, kGroup>& running, const std::uint32_t (&weights)[4],
                           const __nv_bfloat16 (*values)[kRow<D>]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int column = 0; column < D; column += 16) {
    std::uint32_t b[4];
    load_transposed(b, &values[lane % 16][column + lane / 16 * 8]);
    mma(running.out[column / 8], weights, b[0], b[1]);
    mma(running.out[column / 8 + 1], weights, b[2], b[3]);
  }
}

// The warps' sums become the CTA's part, or the result where that is the only one. `scratch` has room for the weighted
// sums of all warps.
template <int D, int kGroup>
__device__ void write_part(Running<D, kGroup>& running, const AttentionCall& call, int row, int kv_head, int split,
                           float (*scratch)[kGroup][D]) {
  __shared__ float largest[kWarps][kGroup];
  __shared__ float sum[kWarps][kGroup];
  const int group = call.shape.heads / call.shape.kv_heads;
  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int half = 0; half < running.kHalves; ++half) {
    running.sum[half] += __shfl_xor_sync(0xffffffffu, running.sum[half], 1);
    running.sum[half] += __shfl_xor_sync(0xffffffffu, running.sum[half], 2);
    const int head = lane / 4 + 8 * half;
    if (head >= group) continue;
    if (lane % 4 == 0) {
      largest[warp][head] = running.largest[half];
      sum[warp][head] = running.sum[half];
    }
#pragma unroll
    for (int tile = 0; tile < D / 8; ++tile) {
      *reinterpret_cast<float2*>(&scratch[warp][head][tile * 8 + lane % 4 * 2]) =
          make_float2(running.out[tile][2 * half], running.out[tile][2 * half + 1]);
    }
  }
  __syncthreads();
  constexpr int kQuads = D / 4;  // of a head's sums
  for (int i = threadIdx.x; i < group * kQuads; i += kThreads) {
    const int head = i / kQuads;
    const int column = i % kQuads * 4;
    float most = kEmpty;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) most = fmaxf(most, largest[w][head]);
    float total = 0.0f;
    float4 value = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float factor = largest[w][head] == kEmpty ? 0.0f : exp2f(largest[w][head] - most);
      const float4 own = *reinterpret_cast<const float4*>(&scratch[w][head][column]);
      total += factor * sum[w][head];
      value = {value.x + factor * own.x, value.y + factor * own.y, value.z + factor * own.z, value.w + factor * own.w};
    }
    const std::int64_t heads = static_cast<std::int64_t>(row) * call.shape.heads + kv_head * group + head;
    if (call.out != nullptr) {
      const float share = total == 0.0f ? 0.0f : 1.0f / total;
      auto* out = reinterpret_cast<__nv_bfloat162*>(call.out + heads * D + column);
      out[0] = __floats2bfloat162_rn(value.x * share, value.y * share);
      out[1] = __floats2bfloat162_rn(value.z * share, value.w * share);
      continue;
    }
    const std::int64_t part = heads * call.shape.splits + split;
    *reinterpret_cast<float4*>(&call.parts[part * D + column]) = value;
    if (column == 0) call.part_sums[part] = make_float2(most, total);
  }
}

__device__ void write_empty_part(const AttentionCall& call, int row, int kv_head, int split) {
  const int group = call.shape.heads / call.shape.kv_heads;
  if (call.out != nullptr) {
    const std::int64_t first = static_cast<std::int64_t>(row) * call.shape.heads + kv_head * group;
    for (int i = threadIdx.x; i < group * call.shape.head_dim; i += kThreads) {
      call.out[first * call.shape.head_dim + i] = __float2bfloat16(0.0f);
    }
    return;
  }
  const int head = kv_head * group + static_cast<int>(threadIdx.x);
  if (threadIdx.x >= group) return;
  const std::int64_t part = (static_cast<std::int64_t>(row) * call.shape.heads + head) * call.shape.splits + split;
  call.part_sums[part] = make_float2(kEmpty, 0.0f);
}

}  // namespace engine::cuda
