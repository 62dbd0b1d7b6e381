/// @file
/// What the E2M1 and E4M3 encoders share: a float's magnitude, rounded to a narrower significand by integer arithmetic.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/rounding.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// How a magnitude becomes an integer number of units.
enum class Rounding : std::uint8_t {
  kNearestEven,  ///< Nearest, ties to even.
  kTowardZero,   ///< The next smaller.
};

template <Rounding kRounding>
RESET_HOST_DEVICE constexpr std::uint32_t shift_right_rounded(std::uint32_t value, std::uint32_t shift) noexcept {
  if (shift > 31) return 0;
  if (kRounding == Rounding::kTowardZero) return value >> shift;
  const std::uint32_t below_half = (std::uint32_t{1} << (shift - 1)) - 1;
  return (value + below_half + ((value >> shift) & 1)) >> shift;
}

/// Code of a finite or infinite magnitude in a format of `kMantissaBits` and exponent bias `kBias`, as if its exponent
/// had no upper end: the caller saturates.
template <std::uint32_t kMantissaBits, std::uint32_t kBias, Rounding kRounding>
RESET_HOST_DEVICE constexpr std::uint32_t encode_magnitude(std::uint32_t float_bits) noexcept {
  constexpr std::uint32_t kSmallestNormal = 128 - kBias;
  const std::uint32_t exponent = float_bits >> 23;
  if (exponent >= kSmallestNormal) {
    return shift_right_rounded<kRounding>(float_bits - ((127 - kBias) << 23), 23 - kMantissaBits);
  }
  // A subnormal float is below any unit of these formats, so its missing implicit bit does not matter.
  const std::uint32_t significand = (float_bits & 0x7fffffu) | 0x800000u;
  return shift_right_rounded<kRounding>(significand, 151 - kBias - kMantissaBits - exponent);
}

}  // namespace detail
RESET_NAMESPACE_END
