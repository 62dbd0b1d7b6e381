// One head's vector of one row, spread over a warp: what happens to a query or a key before it is used.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "attention.hpp"

namespace engine::cuda {

// Lane l holds the pairs (i, i + D / 2) for i = l, l + 32, ...: those that rotary position turns together.
template <int D, class T>
struct HeadPairs {
  static constexpr int kPairs = (D / 2 + 31) / 32;
  T low[kPairs] = {};
  T high[kPairs] = {};

  // function(i, j): pair i, the j-th of this lane.
  template <class Function>
  static __device__ void for_each(Function function) {
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      const int i = static_cast<int>(threadIdx.x % 32) + 32 * j;
      if (i < D / 2) function(i, j);
    }
  }
};

// D values of a vector that heads share, such as the weights of their norm. Null: none.
template <int D>
struct HeadFactors : HeadPairs<D, __nv_bfloat16> {
  bool present;

  __device__ explicit HeadFactors(const __nv_bfloat16* x) : present(x != nullptr) {
    if (!present) return;
    this->for_each([&](int i, int j) {
      this->low[j] = x[i];
      this->high[j] = x[i + D / 2];
    });
  }
};

// Cosines and sines of a position.
template <int D>
struct HeadTurn : HeadPairs<D, float> {
  __device__ HeadTurn(const float2* rotations, int position) {
    const float2* turn = rotations + static_cast<std::int64_t>(position) * (D / 2);
    this->for_each([&](int i, int j) {
      const float2 t = turn[i];
      this->low[j] = t.x;
      this->high[j] = t.y;
    });
  }
};

template <int D>
struct HeadVector : HeadPairs<D, float> {
  __device__ HeadVector() {}  // zeros

  // Head `head` of the row's queries, keys and values, which follow each other.
  __device__ HeadVector(const __nv_bfloat16* qkv, int row, int head, const AttentionShape& shape,
                        const __nv_bfloat16* bias) {
    const std::int64_t all = shape.heads + 2 * shape.kv_heads;
    const __nv_bfloat16* x = qkv + (row * all + head) * D;
    this->for_each([&](int i, int j) {
      this->low[j] = __bfloat162float(x[i]);
      this->high[j] = __bfloat162float(x[i + D / 2]);
      if (bias == nullptr) return;
      this->low[j] += __bfloat162float(bias[head * D + i]);
      this->high[j] += __bfloat162float(bias[head * D + i + D / 2]);
    });
  }

  // RMSNorm over the head; not without weights.
  __device__ void normalize(const HeadFactors<D>& weight, float epsilon) {
    if (!weight.present) return;
    float sum = 0.0f;
    this->for_each([&](int, int j) { sum += this->low[j] * this->low[j] + this->high[j] * this->high[j]; });
    for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    const float factor = rsqrtf(sum / D + epsilon);
    this->for_each([&](int, int j) {
      this->low[j] *= factor * __bfloat162float(weight.low[j]);
      this->high[j] *= factor * __bfloat162float(weight.high[j]);
    });
  }

  __device__ void rotate(const HeadTurn<D>& turn) {
    this->for_each([&](int, int j) {
      const float low = this->low[j] * turn.low[j] - this->high[j] * turn.high[j];
      this->high[j] = this->high[j] * turn.low[j] + this->low[j] * turn.high[j];
      this->low[j] = low;
    });
  }

  __device__ void store(__nv_bfloat16* out) const {
    this->for_each([&](int i, int j) {
      out[i] = __float2bfloat16(this->low[j]);
      out[i + D / 2] = __float2bfloat16(this->high[j]);
    });
  }
};

}  // namespace engine::cuda
