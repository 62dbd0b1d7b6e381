/// @file
/// The arithmetic of the quantisation rules: one block of 16 values against one candidate scale.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/rounding.hpp>
#include <reset/nvfp4/e2m1.hpp>
#include <reset/nvfp4/e4m3.hpp>
#include <reset/nvfp4/matrix.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

inline constexpr int kBlockValues = static_cast<int>(kNvfp4BlockSize);

/// Bits of the largest float that does not exceed x >= 0, at most those of the largest finite one.
RESET_HOST_DEVICE constexpr std::int32_t floor_to_float_bits(double x) noexcept {
  constexpr std::uint64_t kLargest = 0x7f7fffff;
  constexpr std::uint64_t kSmallestNormal = 1023 - 126;
  const std::uint64_t bits = bits_of(x);
  const std::uint64_t exponent = bits >> 52;
  if (exponent >= kSmallestNormal) {
    const std::uint64_t rebiased = (bits - (std::uint64_t{1023 - 127} << 52)) >> 29;
    return static_cast<std::int32_t>(rebiased < kLargest ? rebiased : kLargest);
  }
  const std::uint64_t shift = 29 + kSmallestNormal - exponent;
  const std::uint64_t significand = (bits & 0xfffffffffffffull) | (std::uint64_t{1} << 52);
  return shift < 64 ? static_cast<std::int32_t>(significand >> shift) : 0;
}

/// e2m1(div_rn(x, step)) without the division: the code of |x| is the number of entries that its bits exceed.
///
/// A quotient rounds to a code above the boundary b between two codes if it exceeds b by more than half an ulp of b
/// (ties to even end on b, a tie that goes down), or if it is below b by no more than half an ulp (where the tie at b
/// goes up). Both limits times the step are exact in double, and integer comparisons are what every compiler makes
/// vectors of and no fast-math flag touches.
struct CodeThresholds {
  std::int32_t above[7];  ///< Bits of the largest float of each of the codes 0..6.
};

RESET_HOST_DEVICE constexpr CodeThresholds code_thresholds(float step) noexcept {
  // Between codes 0|1, 2|3, 4|5, 6|7 the tie goes down to the even code; between 1|2, 3|4, 5|6 up.
  constexpr double kDown[4] = {0.25 + 0x1p-26, 1.25 + 0x1p-24, 2.5 + 0x1p-23, 5.0 + 0x1p-22};
  constexpr double kUp[3] = {0.75 - 0x1p-25, 1.75 - 0x1p-24, 3.5 - 0x1p-23};
  const double exact_step = widen(step);
  CodeThresholds thresholds{};
  for (int i = 0; i < 4; ++i) thresholds.above[2 * i] = floor_to_float_bits(exact_step * kDown[i]);
  for (int i = 0; i < 3; ++i) {
    // Strictly below the limit: no float lies between a double and its predecessor.
    thresholds.above[2 * i + 1] = floor_to_float_bits(double_from_bits(bits_of(exact_step * kUp[i]) - 1));
  }
  return thresholds;
}

/// The magnitudes of one block.
struct BlockMagnitudes {
  std::int32_t bits[kBlockValues];  ///< Of |x[i]|: ordered as the magnitudes are.
  double value[kBlockValues];       ///< |x[i]|.

  RESET_HOST_DEVICE explicit BlockMagnitudes(const float* x) noexcept {
    for (int i = 0; i < kBlockValues; ++i) {
      bits[i] = static_cast<std::int32_t>(bits_of(x[i]) & kFloatMagnitude);
      value[i] = widen(float_from_bits(static_cast<std::uint32_t>(bits[i])));
    }
  }

  RESET_HOST_DEVICE float max() const noexcept {
    std::int32_t largest = 0;
    for (int i = 0; i < kBlockValues; ++i) largest = bits[i] > largest ? bits[i] : largest;
    return float_from_bits(static_cast<std::uint32_t>(largest));
  }

  RESET_HOST_DEVICE bool any() const noexcept { return bits_of(max()) != 0; }
};

/// E2M1 codes of the magnitudes at the scale with code `scale`, which must not be that of zero.
struct BlockCodes {
  std::int32_t code[kBlockValues] = {};  ///< 0..7.

  RESET_HOST_DEVICE BlockCodes(const BlockMagnitudes& magnitudes, std::uint8_t scale, GlobalScale global) noexcept {
    const CodeThresholds thresholds = code_thresholds(mul_rn(e4m3_to_float(scale), global.value));
    for (int t = 0; t < 7; ++t) {
      for (int i = 0; i < kBlockValues; ++i) code[i] += magnitudes.bits[i] > thresholds.above[t] ? 1 : 0;
    }
  }
};

/// |value - x| of element i, value = doubled E2M1 code * half step: the product is exact, the difference rounded once.
RESET_HOST_DEVICE inline double element_error(const BlockMagnitudes& magnitudes, const BlockCodes& codes,
                                              double half_step, int i) noexcept {
  const double value = static_cast<double>(doubled_e2m1(static_cast<std::uint32_t>(codes.code[i]))) * half_step;
  return double_from_bits(bits_of(add_rn(value, -magnitudes.value[i])) & kDoubleMagnitude);
}

/// Folds the errors of the 16 elements at one scale. `fold(sum, error, i)` uses the rounding helpers, so that host and
/// device agree.
template <class Fold>
RESET_HOST_DEVICE double block_error(const BlockMagnitudes& magnitudes, std::uint8_t scale, GlobalScale global,
                                     Fold fold) noexcept {
  const BlockCodes codes(magnitudes, scale, global);
  const double half_step = 0.5 * widen(e4m3_to_float(scale)) * widen(global.value);
  // Four chains, in registers, hide the latency of the additions.
  double a = 0;
  double b = 0;
  double c = 0;
  double d = 0;
  for (int i = 0; i < kBlockValues; i += 4) {
    a = fold(a, element_error(magnitudes, codes, half_step, i), i);
    b = fold(b, element_error(magnitudes, codes, half_step, i + 1), i + 1);
    c = fold(c, element_error(magnitudes, codes, half_step, i + 2), i + 2);
    d = fold(d, element_error(magnitudes, codes, half_step, i + 3), i + 3);
  }
  return fold.merge(fold.merge(a, b), fold.merge(c, d));
}

struct SumOfSquares {
  RESET_HOST_DEVICE double operator()(double sum, double error, int) const noexcept {
    return add_rn(sum, mul_rn(error, error));
  }
  RESET_HOST_DEVICE double merge(double a, double b) const noexcept { return add_rn(a, b); }
};

struct WeightedSumOfSquares : SumOfSquares {
  const float* weights;

  RESET_HOST_DEVICE explicit WeightedSumOfSquares(const float* channel_weights) noexcept : weights(channel_weights) {}
  RESET_HOST_DEVICE double operator()(double sum, double error, int i) const noexcept {
    return add_rn(sum, mul_rn(mul_rn(error, error), widen(weights[i])));
  }
};

struct SumOfMagnitudes {
  RESET_HOST_DEVICE double operator()(double sum, double error, int) const noexcept { return add_rn(sum, error); }
  RESET_HOST_DEVICE double merge(double a, double b) const noexcept { return add_rn(a, b); }
};

struct LargestMagnitude {
  RESET_HOST_DEVICE double operator()(double largest, double error, int) const noexcept {
    return merge(largest, error);
  }
  RESET_HOST_DEVICE double merge(double a, double b) const noexcept { return a < b ? b : a; }
};

/// The global scale that maps the largest magnitude of a tensor to 6 times the block scale `largest_scale`.
RESET_HOST_DEVICE inline GlobalScale global_from_amax(float tensor_amax, float largest_scale) noexcept {
  if ((bits_of(tensor_amax) & kFloatMagnitude) == 0) return {1.0f};
  constexpr float kSmallestNormal = 0x1p-126f;
  const float scale = div_rn(tensor_amax, kE2M1Max * largest_scale);
  return {bits_of(scale) < bits_of(kSmallestNormal) ? kSmallestNormal : scale};
}

/// block_amax / 6 / global, the block scale before it is rounded to E4M3.
RESET_HOST_DEVICE inline float unrounded_scale(float block_amax, GlobalScale global) noexcept {
  return div_rn(div_rn(block_amax, kE2M1Max), global.value);
}

}  // namespace detail
RESET_NAMESPACE_END
