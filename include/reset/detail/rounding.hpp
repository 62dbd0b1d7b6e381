/// @file
/// Arithmetic whose rounding survives `-ffast-math`, `--use_fast_math` and a processor set to flush subnormals.
#pragma once

#include <cstdint>

#include <reset/config.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

RESET_HOST_DEVICE constexpr std::uint32_t bits_of(float x) noexcept { return __builtin_bit_cast(std::uint32_t, x); }
RESET_HOST_DEVICE constexpr std::uint64_t bits_of(double x) noexcept { return __builtin_bit_cast(std::uint64_t, x); }
RESET_HOST_DEVICE constexpr float float_from_bits(std::uint32_t bits) noexcept {
  return __builtin_bit_cast(float, bits);
}
RESET_HOST_DEVICE constexpr double double_from_bits(std::uint64_t bits) noexcept {
  return __builtin_bit_cast(double, bits);
}

inline constexpr std::uint32_t kFloatMagnitude = 0x7fffffffu;
inline constexpr std::uint32_t kFloatInfinity = 0x7f800000u;
inline constexpr std::uint64_t kDoubleMagnitude = 0x7fffffffffffffffull;
inline constexpr std::uint64_t kDoubleInfinity = 0x7ff0000000000000ull;

// The optimiser may assume under -ffinite-math-only that x == x; it may assume nothing about bits.
RESET_HOST_DEVICE constexpr bool is_nan(float x) noexcept { return (bits_of(x) & kFloatMagnitude) > kFloatInfinity; }
RESET_HOST_DEVICE constexpr bool is_inf(float x) noexcept { return (bits_of(x) & kFloatMagnitude) == kFloatInfinity; }
RESET_HOST_DEVICE constexpr bool is_finite(float x) noexcept { return (bits_of(x) & kFloatMagnitude) < kFloatInfinity; }
RESET_HOST_DEVICE constexpr bool is_nan(double x) noexcept { return (bits_of(x) & kDoubleMagnitude) > kDoubleInfinity; }
RESET_HOST_DEVICE constexpr bool is_inf(double x) noexcept {
  return (bits_of(x) & kDoubleMagnitude) == kDoubleInfinity;
}
RESET_HOST_DEVICE constexpr bool is_finite(double x) noexcept {
  return (bits_of(x) & kDoubleMagnitude) < kDoubleInfinity;
}

/// `value / 2^shift` rounded to the nearest integer, ties to even; `value < 2^62`.
RESET_HOST_DEVICE constexpr std::uint64_t shift_right_nearest_even(std::uint64_t value, int shift) noexcept {
  if (shift <= 0) return value << -shift;
  if (shift >= 63) return 0;
  const std::uint64_t below_half = (std::uint64_t{1} << (shift - 1)) - 1;
  return (value + below_half + ((value >> shift) & 1)) >> shift;
}

/// The same number as a double, by its bits: a processor that reads subnormal floats as zero does not get at it.
RESET_HOST_DEVICE constexpr double widen(float x) noexcept {
  const std::uint32_t magnitude = bits_of(x) & kFloatMagnitude;
  const std::uint64_t sign = static_cast<std::uint64_t>(bits_of(x) >> 31) << 63;
  if (magnitude < 0x00800000u) return double_from_bits(bits_of(static_cast<double>(magnitude) * 0x1p-149) | sign);
  const std::uint64_t rebias = magnitude >= kFloatInfinity ? 2047 - 255 : 1023 - 127;
  return double_from_bits(((static_cast<std::uint64_t>(magnitude) << 29) + (rebias << 52)) | sign);
}

/// The nearest float, ties to even, by integer arithmetic: subnormal results included, overflow to infinity.
RESET_HOST_DEVICE constexpr float narrow(double x) noexcept {
  const std::uint64_t magnitude = bits_of(x) & kDoubleMagnitude;
  const std::uint32_t sign = static_cast<std::uint32_t>(bits_of(x) >> 63) << 31;
  if (magnitude > kDoubleInfinity) return float_from_bits(0x7fc00000u | sign);
  constexpr int kSmallestNormal = 1023 - 126;
  const int exponent = static_cast<int>(magnitude >> 52);
  std::uint64_t bits = 0;
  if (exponent >= kSmallestNormal) {
    bits = shift_right_nearest_even(magnitude - (std::uint64_t{1023 - 127} << 52), 29);
  } else if (exponent > 0) {
    const std::uint64_t significand = (magnitude & 0xfffffffffffffull) | (std::uint64_t{1} << 52);
    bits = shift_right_nearest_even(significand, 29 + kSmallestNormal - exponent);
  }
  return float_from_bits((bits < kFloatInfinity ? static_cast<std::uint32_t>(bits) : kFloatInfinity) | sign);
}

/// Returns `x`, a number or a vector of them, of which the optimiser then knows nothing: no fast-math rewrite crosses
/// it. Host only; the result stays in its register.
template <class Real>
inline Real hide(Real x) noexcept {
#if defined(__SSE2__)
  asm("" : "+x"(x));
#elif defined(__aarch64__)
  asm("" : "+w"(x));
#else
  asm("" : "+m"(x));
#endif
  return x;
}

/// Whether x is far enough from the subnormals and from overflow that a processor which flushes computes with it
/// as IEEE 754 says.
constexpr bool is_safely_normal(float x) noexcept {
  return (bits_of(x) & kFloatMagnitude) - 0x01000000u < kFloatInfinity - 0x01000000u;
}

/// x / y, rounded once to nearest even, in float; subnormals are never flushed.
RESET_HOST_DEVICE inline float div_rn(float x, float y) noexcept {
#if defined(__CUDA_ARCH__)
  // Not __fdiv_rn: --use_fast_math would make it flush subnormals.
  float quotient;
  asm("div.rn.f32 %0, %1, %2;" : "=f"(quotient) : "f"(x), "f"(y));
  return quotient;
#else
  const float quotient = hide(hide(x) / hide(y));
  if (is_safely_normal(x) && is_safely_normal(y) && is_safely_normal(quotient)) return quotient;
  // Rounding a quotient of floats to double first is innocuous, to subnormal floats too.
  return narrow(hide(hide(widen(x)) / hide(widen(y))));
#endif
}

/// 1 / x, rounded once to nearest even, in float; quicker than the division where the device has it.
RESET_HOST_DEVICE inline float reciprocal_rn(float x) noexcept {
#if defined(__CUDA_ARCH__)
  float reciprocal;
  asm("rcp.rn.f32 %0, %1;" : "=f"(reciprocal) : "f"(x));
  return reciprocal;
#else
  return div_rn(1.0f, x);
#endif
}

/// x * y, rounded once to nearest even, in float; never contracted into an FMA; subnormals are never flushed.
RESET_HOST_DEVICE inline float mul_rn(float x, float y) noexcept {
#if defined(__CUDA_ARCH__)
  float product;
  asm("mul.rn.f32 %0, %1, %2;" : "=f"(product) : "f"(x), "f"(y));
  return product;
#else
  const float product = hide(hide(x) * hide(y));
  if (is_safely_normal(x) && is_safely_normal(y) && is_safely_normal(product)) return product;
  return narrow(hide(hide(widen(x)) * hide(widen(y))));
#endif
}

/// x + y, rounded once to nearest even, in float; never contracted or reassociated; subnormals are never flushed.
RESET_HOST_DEVICE inline float add_rn(float x, float y) noexcept {
#if defined(__CUDA_ARCH__)
  float sum;
  asm("add.rn.f32 %0, %1, %2;" : "=f"(sum) : "f"(x), "f"(y));
  return sum;
#else
  const float sum = hide(hide(x) + hide(y));
  if (is_safely_normal(x) && is_safely_normal(y) && is_safely_normal(sum)) return sum;
  // An operand below 2^-125 beside one above 2^-96 only sets the sticky part of a sum that rounds to the larger one,
  // and two operands below 2^-96 add exactly in double.
  return narrow(hide(hide(widen(x)) + hide(widen(y))));
#endif
}

/// x / y in double, rounded once to nearest even.
RESET_HOST_DEVICE inline double div_rn(double x, double y) noexcept {
#if defined(__CUDA_ARCH__)
  return __ddiv_rn(x, y);
#else
  return hide(hide(x) / hide(y));
#endif
}

/// x * y in double, rounded once to nearest even; never contracted into an FMA.
RESET_HOST_DEVICE inline double mul_rn(double x, double y) noexcept {
#if defined(__CUDA_ARCH__)
  return __dmul_rn(x, y);
#else
  return hide(hide(x) * hide(y));
#endif
}

/// x + y in double, rounded once to nearest even; never contracted or reassociated.
RESET_HOST_DEVICE inline double add_rn(double x, double y) noexcept {
#if defined(__CUDA_ARCH__)
  return __dadd_rn(x, y);
#else
  return hide(hide(x) + hide(y));
#endif
}

}  // namespace detail
RESET_NAMESPACE_END
