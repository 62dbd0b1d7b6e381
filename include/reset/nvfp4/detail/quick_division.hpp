/// @file
/// The divisions of round-to-nearest and of the sigmoid without a division, and the codes of quotients: what the device
/// does, the same on the host, where tests go through what can come.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/rounding.hpp>
#include <reset/nvfp4/detail/exact_float.hpp>
#include <reset/nvfp4/e2m1.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Code of the E2M1 magnitude nearest to a quotient >= 0, ties to even, infinity and NaN saturating. Adding 2^22, 2^23
/// or 2^24 rounds to the spacing of the codes below 2, below 4 and above, and leaves their number in the low bits; two
/// codes more for each power of two.
RESET_HOST_DEVICE inline std::uint32_t code_of_magnitude(float quotient) noexcept {
  constexpr std::uint32_t kSpacing = 22u << 23;  // from a power of two to what rounds its octave
  const std::uint32_t octave = bits_of(quotient) & kFloatInfinity;
  const std::uint32_t power = octave > bits_of(1.0f) ? octave : bits_of(1.0f);
  const std::uint32_t sum = bits_of(add_rn(quotient, float_from_bits(power + kSpacing)));
  const std::uint32_t code = sum - power + (power >> 22) - (kSpacing + (bits_of(1.0f) >> 22));
  return code < 7u ? code : 7u;
}

/// Whether low <= x < high, all of them positive; of no other x.
RESET_HOST_DEVICE inline bool is_within(float x, float low, float high) noexcept {
  return bits_of(x) - bits_of(low) < bits_of(high) - bits_of(low);
}

/// x / divisor rounded to nearest even, from the rounded reciprocal and two exact remainders (Markstein). Right for
/// quotients of 2^-12 and more where nothing underflows, which `serves` tells of a divisor. Smaller quotients are wrong
/// only in bits that no code depends on, and those that overflow on the way come out as infinity or NaN.
struct QuotientByReciprocal {
  float divisor;
  float reciprocal;

  RESET_HOST_DEVICE static bool serves(float divisor) noexcept { return is_within(divisor, 0x1p-90f, 0x1p90f); }

  RESET_HOST_DEVICE float operator()(float x) const noexcept {
    const float estimate = mul_rn(x, reciprocal);
    const float better = fma_rn(fma_rn(-estimate, divisor, x), reciprocal, estimate);
    return fma_rn(fma_rn(-better, divisor, x), reciprocal, better);
  }
};

/// x / 6 rounded to nearest even, for x = 0 and from 2^-60 to 2^60: one remainder suffices for all of them.
RESET_HOST_DEVICE inline float sixth_of(float x) noexcept {
  constexpr float kSixth = 1.0f / kE2M1Max;
  const float estimate = mul_rn(x, kSixth);
  return fma_rn(fma_rn(-estimate, kE2M1Max, x), kSixth, estimate);
}

/// x / y rounded to nearest even, for x = 1 or x = e and y = 1 + e rounded, from 1 / y to two units in the last place;
/// e in [0, 1], not subnormal. A sigmoid in a straight line, where the division branches.
RESET_HOST_DEVICE inline float sigmoid_quotient(float x, float y, float estimate) noexcept {
  const float better = fma_rn(fma_rn(-y, estimate, 1.0f), estimate, estimate);
  // This one's reciprocal lies 2^-49 above a tie, which the remainder does not show.
  const float reciprocal = bits_of(y) == bits_of(0x1.fffffep0f) ? 0x1.000002p-1f : better;
  return QuotientByReciprocal{y, reciprocal}(x);
}

/// Whether the scale of a block wants the divisions, and what `unrounded_scale` gives otherwise, but for bits that no
/// code depends on.
RESET_HOST_DEVICE inline bool scale_wants_division(float block_amax, float global) noexcept {
  const bool usual = bits_of(block_amax) == 0 || is_within(block_amax, 0x1p-60f, 0x1p60f);
  return !usual || !is_within(global, 0x1p-60f, 0x1p60f);
}
RESET_HOST_DEVICE inline float quick_scale(float block_amax, const QuotientByReciprocal& by_global) noexcept {
  return by_global(sixth_of(block_amax));
}

}  // namespace detail
RESET_NAMESPACE_END
