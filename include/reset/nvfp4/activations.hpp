/// @file
/// What the device quantisers compute before they quantise: RMSNorm and SiLU times up, operation by operation in float,
/// each rounded once. The kernels call the same functions, so host and device agree to the bit, under fast-math too.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/rounding.hpp>
#include <reset/nvfp4/detail/exact_float.hpp>
#include <reset/nvfp4/detail/quick_division.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// numerator / (1 + e) rounded to nearest even, for a numerator of 1 or e; e in [0, 1], not subnormal.
RESET_HOST_DEVICE inline float sigmoid_of(float numerator, float e) noexcept {
  const float denominator = add_rn(1.0f, e);
#if defined(__CUDA_ARCH__)
  float estimate;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(estimate) : "f"(denominator));
  return sigmoid_quotient(numerator, denominator, estimate);
#else
  return div_rn(numerator, denominator);
#endif
}

}  // namespace detail

/// Which half of the 2 K columns of a fused gate/up projection is the gate.
enum class GateOrder : std::uint8_t {
  kGateUp,  ///< The first K columns are the gate, the others up.
  kUpGate,  ///< The first K columns are up, the others the gate.
};

/// x * sigmoid(x), within 2^-20 |x sigmoid(x)| + 2^-118. sigmoid(x) is 1 / (1 + e) for x >= 0 and e / (1 + e) below,
/// with e = exp(-|x|), 0 from |x| > 87 on. NaN stays NaN, infinity stays infinity, -infinity gives NaN.
RESET_HOST_DEVICE inline float silu(float x) noexcept {
  const bool negative = detail::bits_of(x) >> 31 != 0;
  const float e = detail::exp_of_minus(detail::float_from_bits(detail::bits_of(x) & detail::kFloatMagnitude));
  return detail::mul_rn(x, detail::sigmoid_of(negative ? e : 1.0f, e));
}

/// The factor of RMSNorm, 1 / sqrt(sum_of_squares / cols + epsilon).
RESET_HOST_DEVICE inline float rms_reciprocal(float sum_of_squares, std::int64_t cols, float epsilon) noexcept {
  const float mean = detail::div_rn(sum_of_squares, static_cast<float>(cols));
  return detail::reciprocal_rn(detail::sqrt_rn(detail::add_rn(mean, epsilon)));
}

/// Sum of the squares of x[0 .. cols), cols a multiple of 8, in the one order that host and device share: eight
/// neighbours in a tree, every 1024th of these sums in ascending order, the 1024 results in a tree of neighbours.
inline float sum_of_squares(const float* x, std::int64_t cols) noexcept {
  float lanes[detail::kSumLanes] = {};
  for (std::int64_t k = 0; k < cols; k += 8) {
    float& lane = lanes[k / 8 % detail::kSumLanes];
    lane = detail::add_rn(lane, detail::sum_of_eight_squares(x + k));
  }
  for (int distance = 1; distance < detail::kSumLanes; distance *= 2) {
    for (int i = 0; i < detail::kSumLanes; i += 2 * distance) {
      lanes[i] = detail::add_rn(lanes[i], lanes[i + distance]);
    }
  }
  return lanes[0];
}

/// RMSNorm of one row: y[k] = (x[k] * rms_reciprocal) * weight[k], cols a multiple of 8. y may be x.
inline void rms_norm_row(const float* x, const float* weight, std::int64_t cols, float epsilon, float* y) noexcept {
  const float factor = rms_reciprocal(sum_of_squares(x, cols), cols, epsilon);
  for (std::int64_t k = 0; k < cols; ++k) y[k] = detail::mul_rn(detail::mul_rn(x[k], factor), weight[k]);
}

/// SiLU times up of one row: y[k] = silu(gate[k]) * up[k]. y may be either of them.
inline void silu_mul_row(const float* gate, const float* up, std::int64_t cols, float* y) noexcept {
  for (std::int64_t k = 0; k < cols; ++k) y[k] = detail::mul_rn(silu(gate[k]), up[k]);
}

RESET_NAMESPACE_END
