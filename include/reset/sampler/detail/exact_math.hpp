/// @file
/// Exponential and logarithm in double, operation by operation, so that every compiler and the device give the same
/// bits.
#pragma once

#include <cstdint>

#include <reset/detail/rounding.hpp>
#include <reset/sampler/detail/instruction_set.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_INSTRUCTION_SET {

inline constexpr double kLn2High = 0x1.62e42fefa38p-1;  // Short enough that its product with an exponent is exact.
inline constexpr double kLn2Low = 0x1.ef35793c7673p-45;
inline constexpr double kLog2EDouble = 0x1.71547652b82fep+0;
inline constexpr float kLog2EFloat = 1.44269504f;
inline constexpr float kLn2Float = 0.693147181f;

// An integer whose order is that of floats, subnormals included whatever the processor makes of them; zeros of both
// signs are equal.
RESET_HOST_DEVICE constexpr std::uint32_t order_of(float x) noexcept {
  const std::uint32_t bits = bits_of(x) == 0x80000000u ? 0u : bits_of(x);
  return bits ^ (bits >> 31 != 0 ? 0xffffffffu : 0x80000000u);
}

// 2^exponent for a normal result.
RESET_HOST_DEVICE constexpr double power_of_two(int exponent) noexcept {
  return double_from_bits(static_cast<std::uint64_t>(exponent + 1023) << 52);
}

// e^x below it counts as 0.
inline constexpr float kDeepestExponent = -700.0f;

/// `exact_exp` for x of kDeepestExponent or more.
RESET_HOST_DEVICE inline double exact_exp_inside(double x) noexcept {
  const int exponent = static_cast<int>(add_rn(mul_rn(x, kLog2EDouble), -0.5));
  const double n = exponent;
  const double r = add_rn(add_rn(x, -mul_rn(n, kLn2High)), -mul_rn(n, kLn2Low));
  // Taylor in pairs (Estrin): |r| <= ln 2 / 2.
  constexpr double kInverseFactorial[14] = {1.0,
                                            1.0,
                                            0x1p-1,
                                            0x1.5555555555555p-3,
                                            0x1.5555555555555p-5,
                                            0x1.1111111111111p-7,
                                            0x1.6c16c16c16c17p-10,
                                            0x1.a01a01a01a01ap-13,
                                            0x1.a01a01a01a01ap-16,
                                            0x1.71de3a556c734p-19,
                                            0x1.27e4fb7789f5cp-22,
                                            0x1.ae64567f544e4p-26,
                                            0x1.1eed8eff8d898p-29,
                                            0x1.6124613a86d09p-33};
  const double r2 = mul_rn(r, r);
  double sum = add_rn(kInverseFactorial[12], mul_rn(kInverseFactorial[13], r));
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
  for (int k = 10; k >= 0; k -= 2) {
    const double pair = add_rn(kInverseFactorial[k], mul_rn(kInverseFactorial[k + 1], r));
    sum = add_rn(pair, mul_rn(sum, r2));
  }
  return mul_rn(sum, power_of_two(exponent));
}

/// e^x for x <= 0, within 2 ulp; 0 below -700.
RESET_HOST_DEVICE inline double exact_exp(double x) noexcept {
  return x >= static_cast<double>(kDeepestExponent) ? exact_exp_inside(x) : 0.0;
}

// log((1 + s) / (1 - s)) = 2 atanh(s) for |s| <= 0.18, by its series.
RESET_HOST_DEVICE inline double log_ratio(double s) noexcept {
  const double s2 = mul_rn(s, s);
  constexpr double kOneOverOdd[11] = {1.0,        1.0 / 3.0,  1.0 / 5.0,  1.0 / 7.0,  1.0 / 9.0, 1.0 / 11.0,
                                      1.0 / 13.0, 1.0 / 15.0, 1.0 / 17.0, 1.0 / 19.0, 1.0 / 21.0};
  double sum = kOneOverOdd[10];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
  for (int k = 9; k >= 1; --k) sum = add_rn(kOneOverOdd[k], mul_rn(sum, s2));
  const double twice = add_rn(s, s);
  return add_rn(twice, mul_rn(twice, mul_rn(sum, s2)));
}

/// log x for a finite normal x > 0, within 2 ulp.
RESET_HOST_DEVICE inline double exact_log(double x) noexcept {
  // The significand is taken in [sqrt(1/2), sqrt(2)), so that the logarithm of 1 - tiny does not cancel.
  constexpr std::uint64_t kSqrtHalf = 0x3fe6a09e667f3bcdull;
  const std::uint64_t bits = bits_of(x);
  const std::int64_t exponent = static_cast<std::int64_t>(bits - kSqrtHalf) >> 52;
  const double m = double_from_bits(bits - (static_cast<std::uint64_t>(exponent) << 52));
  const double s = div_rn(add_rn(m, -1.0), add_rn(m, 1.0));
  const double n = static_cast<double>(exponent);
  return add_rn(mul_rn(n, kLn2High), add_rn(mul_rn(n, kLn2Low), log_ratio(s)));
}

/// -log(1 - v) for 0 < v < 1 without loss for small v.
RESET_HOST_DEVICE inline double exact_minus_log1m(double v) noexcept {
  if (v > 0.25) return -exact_log(add_rn(1.0, -v));
  return log_ratio(div_rn(v, add_rn(2.0, -v)));
}

}  // namespace RESET_INSTRUCTION_SET
}  // namespace detail
RESET_NAMESPACE_END
