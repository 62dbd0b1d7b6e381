/// @file
/// An exponential for non-positive arguments that compilers vectorise and fast-math cannot break.
#pragma once

#include <cstdint>

#include <reset/detail/rounding.hpp>
#include <reset/sampler/detail/instruction_set.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_INSTRUCTION_SET {

/// Scaled exponents are in units of 2^-23 of a power of two: their integer part is an exponent and their fraction a
/// significand of a float, in place.
inline constexpr float kExponentScale = 0x1.715476p+23f;  // 2^23 log2(e), for e^-y; over T for e^(-y/T).
inline constexpr float kExponentLimit = 0x1.fcp+29f;      // 127 * 2^23: where e^-y counts as 0.

/// min(|z|, kExponentLimit), infinity and NaN included: the order of non-negative floats is that of their bits.
RESET_HOST_DEVICE inline float limit_exponent(float z) noexcept {
  constexpr std::uint32_t kLimit = bits_of(kExponentLimit);
  // Arithmetic, not a condition: compilers would split the code behind a condition and then not vectorise it.
  const std::uint32_t beyond = (bits_of(z) & kFloatMagnitude) - kLimit;
  const std::uint32_t below = static_cast<std::uint32_t>(static_cast<std::int32_t>(beyond) >> 31);
  return float_from_bits(kLimit + (beyond & below));
}

/// 2^(-z / 2^23) for 0 <= z <= 126 * 2^23, within 2.5e-7 relative; exactly 1 at 0. Beyond, where it leaves the normal
/// floats, only a value in [0, 2^-126]; exactly 0 at kExponentLimit.
RESET_HOST_DEVICE inline float exp_scaled(float z) noexcept {
  // Truncated, not rounded by adding a magic number, which fast-math would fold away.
  const std::int32_t fixed = static_cast<std::int32_t>(z);
  const float f = float_from_bits(static_cast<std::uint32_t>((fixed & 0x007fffff) | 0x3f800000)) - 1.0f;
  // Minimax of 2^-f on [0, 1] (Remez, relative, 8.4e-8), the constant term held at 1.
  float p = -0.000944903675f;
  p = p * f + 0.00920579822f;
  p = p * f - 0.0552973583f;
  p = p * f + 0.240180143f;
  p = p * f - 0.693143721f;
  p = p * f + 1.0f;
  const std::int32_t whole = fixed & ~0x007fffff;
  return float_from_bits(bits_of(p) - static_cast<std::uint32_t>(whole));
}

/// e^x for x <= 0, within 2.5e-7 + |x| 8e-8 relative down to -87.33, where it leaves the normal floats, in [0, 2^-126]
/// beyond and 0 below -88.03; exactly 1 at 0.
RESET_HOST_DEVICE inline float exp_nonpositive(float x) noexcept {
  return exp_scaled(limit_exponent(-x * kExponentScale));
}

}  // namespace RESET_INSTRUCTION_SET
}  // namespace detail
RESET_NAMESPACE_END
