// One head's vector of one row, spread over a warp: what happens to a query or a key before it is used.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "attention.hpp"

namespace engine::cuda {

// Lane l holds the pairs (i, i + D / 2) for i = l, l + 32, ...: those that rotary position turns together.
template <int D>
class HeadVector {
 public:
  __device__ HeadVector() {}  // zeros

  // Head `head` of the row's queries, keys and values, which follow each other.
  __device__ HeadVector(const __nv_bfloat16* qkv, int row, int head, const AttentionShape& shape,
                        const __nv_bfloat16* bias) {
    const std::int64_t all = shape.heads + 2 * shape.kv_heads;
    const __nv_bfloat16* x = qkv + (row * all + head) * D;
    for_each([&](int i, float& low, float& high) {
      low = __bfloat162float(x[i]);
      high = __bfloat162float(x[i + D / 2]);
      if (bias == nullptr) return;
      low += __bfloat162float(bias[head * D + i]);
      high += __bfloat162float(bias[head * D + i + D / 2]);
    });
  }

  // RMSNorm over the head; not without weights.
  __device__ void normalize(const __nv_bfloat16* weight, float epsilon) {
    if (weight == nullptr) return;
    float sum = 0.0f;
    for_each([&](int, float& low, float& high) { sum += low * low + high * high; });
    for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    const float factor = rsqrtf(sum / D + epsilon);
    for_each([&](int i, float& low, float& high) {
      low *= factor * __bfloat162float(weight[i]);
      high *= factor * __bfloat162float(weight[i + D / 2]);
    });
  }

  __device__ void rotate(const float2* rotations, int position) {
    const float2* turn = rotations + static_cast<std::int64_t>(position) * (D / 2);
    for_each([&](int i, float& low, float& high) {
      const float2 t = turn[i];
      const float turned = low * t.x - high * t.y;
      high = high * t.x + low * t.y;
      low = turned;
    });
  }

  __device__ void store(__nv_bfloat16* out) {
    for_each([&](int i, float& low, float& high) {
      out[i] = __float2bfloat16(low);
      out[i + D / 2] = __float2bfloat16(high);
    });
  }

 private:
  static constexpr int kPairs = (D / 2 + 31) / 32;

  template <class Function>
  __device__ void for_each(Function function) {
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      const int i = static_cast<int>(threadIdx.x % 32) + 32 * j;
      if (i < D / 2) function(i, low_[j], high_[j]);
    }
  }

  float low_[kPairs] = {};
  float high_[kPairs] = {};
};

}  // namespace engine::cuda
