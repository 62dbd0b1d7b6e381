// The parts that split attention leaves, and eight neighbouring values of what they merge to.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "attention.hpp"

namespace engine::cuda {

struct Parts {
  const float* values;  // [row][head][split][head_dim]
  const float2* sums;   // [row][head][split]: maximum and sum; a sum of 0: not written, and none behind it is
  int heads;
  int head_dim;
  int splits;
};

// What `reset::quantize_source` asks for: eight neighbouring values of a row.
struct Merge {
  Parts parts;

  // Eight parts at a time: a loop that looked at one after the other would wait for each of them.
  __host__ __device__ void load(std::int64_t row, std::int64_t octet, float (&values)[8]) const {
    constexpr int kBatch = 8;
    const auto column = static_cast<int>(octet * 8);
    const std::int64_t first = (row * parts.heads + column / parts.head_dim) * parts.splits;
    float2 sums[kMaxSplits];
    for (int split = 0; split < kMaxSplits; ++split) {
      sums[split] = split < parts.splits ? parts.sums[first + split] : make_float2(-INFINITY, 0.0f);
    }
    int present = parts.splits;
    float most = -INFINITY;
    float total = 0.0f;
    for (float& value : values) value = 0.0f;
    for (int batch = 0; batch < kMaxSplits; batch += kBatch) {
      if (batch >= present) break;
      float4 part[kBatch][2];
      for (int i = 0; i < kBatch; ++i) {
        const std::int64_t at = first + min(batch + i, parts.splits - 1);
        const auto* from =
            reinterpret_cast<const float4*>(parts.values + at * parts.head_dim + column % parts.head_dim);
        part[i][0] = from[0];
        part[i][1] = from[1];
      }
      if (batch == 0) look_at(sums, most, present);
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
  static __host__ __device__ void look_at(const float2 (&sums)[kMaxSplits], float& most, int& present) {
    present = 0;
    for (const float2 sum : sums) {
      most = fmaxf(most, sum.x);
      present += sum.y == 0.0f ? 0 : 1;  // a NaN is present
    }
  }

  static __host__ __device__ void add(float (&values)[8], float factor, const float4 (&part)[2]) {
    const float4 a = part[0];
    const float4 b = part[1];
    const float sums[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
    for (int i = 0; i < 8; ++i) values[i] += factor * sums[i];
  }
};

}  // namespace engine::cuda
