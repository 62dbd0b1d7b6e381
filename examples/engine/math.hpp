// The operations between the linear layers, in float32.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace engine {

// Sum of a[i] * b[i] over sixteen running sums: the compiler may use its whole vector width without reordering a sum.
inline float dot(const float* a, const float* b, std::int64_t count) {
  constexpr std::int64_t kLanes = 16;
  float lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  }
  for (; i < count; ++i) lanes[i % kLanes] += a[i] * b[i];
  for (std::int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

// out = x / sqrt(mean(x^2) + eps) * weight; `out` may be `x`.
inline void rms_norm(const float* x, const float* weight, std::int64_t count, float eps, float* out) {
  const float scale = 1.0F / std::sqrt(dot(x, x, count) / static_cast<float>(count) + eps);
  for (std::int64_t i = 0; i < count; ++i) out[i] = x[i] * scale * weight[i];
}

// Rotary position of one head: element i is paired with element i + head_dim / 2 and turned by angle i.
inline void rotate(float* x, const float* cosines, const float* sines, std::int64_t head_dim) {
  const std::int64_t half = head_dim / 2;
  for (std::int64_t i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[i + half];
    x[i] = a * cosines[i] - b * sines[i];
    x[i + half] = b * cosines[i] + a * sines[i];
  }
}

// x = softmax(x); `count` is at least 1.
inline void softmax(float* x, std::int64_t count) {
  float largest = x[0];
  for (std::int64_t i = 1; i < count; ++i) largest = x[i] > largest ? x[i] : largest;
  float sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    x[i] = std::exp(x[i] - largest);
    sum += x[i];
  }
  for (std::int64_t i = 0; i < count; ++i) x[i] /= sum;
}

// out[i] = sum over p of weights[p] * rows[p][i], for `count` rows of `width` values each.
inline void weighted_sum(const float* weights, const float* rows, std::int64_t count, std::int64_t width, float* out) {
  constexpr std::int64_t kLanes = 16;
  std::int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    float lanes[kLanes] = {};  // stay in registers, which `out` would not
    for (std::int64_t p = 0; p < count; ++p) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += weights[p] * rows[p * width + i + lane];
    }
    for (std::int64_t lane = 0; lane < kLanes; ++lane) out[i + lane] = lanes[lane];
  }
  for (; i < width; ++i) {
    out[i] = 0;
    for (std::int64_t p = 0; p < count; ++p) out[i] += weights[p] * rows[p * width + i];
  }
}

// gate = silu(gate) * up, the gated activation of the feed-forward layer.
inline void gated_silu(float* gate, const float* up, std::int64_t count) {
  // exp of what is never positive: an infinity under the fraction would be NaN where -ffast-math multiplies by 1 / x.
  for (std::int64_t i = 0; i < count; ++i) {
    const float decay = std::exp(-std::fabs(gate[i]));
    gate[i] = gate[i] * ((gate[i] < 0 ? decay : 1.0F) / (1.0F + decay)) * up[i];
  }
}

inline void add(float* x, const float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) x[i] += y[i];
}

}  // namespace engine
