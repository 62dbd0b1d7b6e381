/// @file
/// E4M3 (finite only), the format of NVFP4's block scales: bias 7, no infinities, 0x7f and 0xff are NaN.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/nvfp4/detail/small_float.hpp>

RESET_NAMESPACE_BEGIN

/// The largest magnitude of E4M3, code 0x7e.
inline constexpr float kE4M3Max = 448.0f;

/// The value of an E4M3 code, exactly; 0x7f and 0xff give NaN.
RESET_HOST_DEVICE constexpr float e4m3_to_float(std::uint8_t code) noexcept {
  const std::uint32_t magnitude = code & 0x7fu;
  const std::uint32_t sign = (code & 0x80u) << 24;
  if (magnitude == 0x7f) return detail::float_from_bits(0x7fc00000u | sign);
  if (magnitude < 8) return detail::float_from_bits(detail::bits_of(static_cast<float>(magnitude) * 0x1p-9f) | sign);
  return detail::float_from_bits(((magnitude << 20) + (120u << 23)) | sign);
}

namespace detail {

template <Rounding kRounding>
RESET_HOST_DEVICE constexpr std::uint8_t encode_e4m3(float x) noexcept {
  if (is_nan(x)) return 0x7f;
  const std::uint32_t bits = bits_of(x);
  const std::uint32_t code = encode_magnitude<3, 7, kRounding>(bits & kFloatMagnitude);
  return static_cast<std::uint8_t>((code < 0x7e ? code : 0x7e) | (bits >> 31 << 7));
}

/// The two E4M3 codes in the low half of `codes` as halves times 2^-8, NaN for a NaN: a code's magnitude, shifted into
/// a half's fields, reads as that, subnormals included.
RESET_HOST_DEVICE inline std::uint32_t e4m3_pair_by_bits(std::uint32_t codes) noexcept {
  const std::uint32_t spread = (codes & 0x00ffu) | (codes & 0xff00u) << 8;
  const std::uint32_t magnitude = spread & 0x007f007fu;
  // Only 0x7f carries into bit 7; it becomes a half's quiet NaN.
  const std::uint32_t nan = (magnitude + 0x00010001u) & 0x00800080u;
  return (spread & 0x00800080u) << 8 | magnitude << 7 | nan * 0xfcu;
}

}  // namespace detail

/// The code of the E4M3 value nearest to `x`, ties to even, magnitudes beyond 448 and infinities saturating; a NaN of
/// either sign gives 0x7f and the sign of a zero is kept, as the CUDA Toolkit's saturating conversion does.
RESET_HOST_DEVICE constexpr std::uint8_t float_to_e4m3(float x) noexcept {
  return detail::encode_e4m3<detail::Rounding::kNearestEven>(x);
}

/// The code of the largest E4M3 magnitude that does not exceed |x|, with the sign of `x`; otherwise as `float_to_e4m3`.
RESET_HOST_DEVICE constexpr std::uint8_t float_to_e4m3_toward_zero(float x) noexcept {
  return detail::encode_e4m3<detail::Rounding::kTowardZero>(x);
}

RESET_NAMESPACE_END
