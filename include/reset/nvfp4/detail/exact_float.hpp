/// @file
/// Float functions that give the same bits on host and device: built from single rounded operations.
#pragma once

#include <cmath>
#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/rounding.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Partial sums of a row: the most threads of the kernel that adds it up.
inline constexpr int kSumLanes = 1024;

/// The square root, rounded once to nearest even; subnormals are never flushed.
RESET_HOST_DEVICE inline float sqrt_rn(float x) noexcept {
#if defined(__CUDA_ARCH__)
  float root;
  asm("sqrt.rn.f32 %0, %1;" : "=f"(root) : "f"(x));
  return root;
#else
  // Rounding the root of a float to double first is innocuous, and no fast-math flag approximates the double one.
  return narrow(hide(std::sqrt(hide(widen(x)))));
#endif
}

/// x * y + z, rounded once to nearest even. On the host operands and result are to be normal or 0, for a processor that
/// flushes subnormals.
RESET_HOST_DEVICE inline float fma_rn(float x, float y, float z) noexcept {
#if defined(__CUDA_ARCH__)
  float sum;
  asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(sum) : "f"(x), "f"(y), "f"(z));
  return sum;
#else
  return hide(std::fma(hide(x), hide(y), hide(z)));
#endif
}

/// exp(-x) for x >= 0, within 2^-21 of it; 0 for x > 87, infinity and NaN.
RESET_HOST_DEVICE inline float exp_of_minus(float x) noexcept {
  if (bits_of(x) > bits_of(87.0f)) return 0.0f;
  // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
  const std::uint32_t n = bits_of(add_rn(mul_rn(x, 0x1.715476p0f), 0x1.8p23f)) - bits_of(0x1.8p23f);
  const float whole = static_cast<float>(n);
  // ln 2 in two parts; the first has 9 bits, so its product with n is exact.
  const float r = add_rn(add_rn(mul_rn(whole, 0x1.63p-1f), -x), mul_rn(whole, -0x1.bd0106p-13f));
  constexpr float kTaylor[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
  float power = 1.0f / 5040;
  for (const float coefficient : kTaylor) power = add_rn(mul_rn(power, r), coefficient);
  return mul_rn(power, float_from_bits((127 - n) << 23));
}

/// x[0]^2 + .. + x[7]^2, added in a tree of neighbours.
RESET_HOST_DEVICE inline float sum_of_eight_squares(const float* x) noexcept {
  float pairs[4] = {};
  for (int i = 0; i < 4; ++i) pairs[i] = add_rn(mul_rn(x[2 * i], x[2 * i]), mul_rn(x[2 * i + 1], x[2 * i + 1]));
  return add_rn(add_rn(pairs[0], pairs[1]), add_rn(pairs[2], pairs[3]));
}

}  // namespace detail
RESET_NAMESPACE_END
