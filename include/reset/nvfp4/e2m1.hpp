/// @file
/// E2M1, the four-bit element of NVFP4: magnitudes 0, 0.5, 1, 1.5, 2, 3, 4, 6 as codes 0..7, the sign in bit 3.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/nvfp4/detail/small_float.hpp>

RESET_NAMESPACE_BEGIN

/// The largest magnitude of E2M1.
inline constexpr float kE2M1Max = 6.0f;

namespace detail {

/// Twice the magnitude of a code 0..7: 0, 1, 2, 3, 4, 6, 8, 12 stand in the nibbles of a constant; no table, no branch.
RESET_HOST_DEVICE constexpr std::int32_t doubled_e2m1(std::uint32_t code) noexcept {
  return static_cast<std::int32_t>((0xc8643210u >> (4 * code)) & 15u);
}

}  // namespace detail

/// The value of an E2M1 code, exactly; bits 4..7 of `code` are ignored, and code 8 is -0.
RESET_HOST_DEVICE constexpr float e2m1_to_float(std::uint8_t code) noexcept {
  const std::uint32_t sign = (code & 8u) << 28;
  return detail::float_from_bits(detail::bits_of(static_cast<float>(detail::doubled_e2m1(code & 7u)) * 0.5f) | sign);
}

/// The code of the E2M1 value nearest to `x`, ties to even, magnitudes beyond 6 and infinities saturating; a NaN gives
/// +6 and the sign of a zero is kept, as the CUDA Toolkit's conversion does.
RESET_HOST_DEVICE constexpr std::uint8_t float_to_e2m1(float x) noexcept {
  if (detail::is_nan(x)) return 7;
  const std::uint32_t bits = detail::bits_of(x);
  const std::uint32_t code =
      detail::encode_magnitude<1, 1, detail::Rounding::kNearestEven>(bits & detail::kFloatMagnitude);
  return static_cast<std::uint8_t>((code < 7 ? code : 7) | (bits >> 31 << 3));
}

RESET_NAMESPACE_END
