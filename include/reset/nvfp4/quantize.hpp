/// @file
/// Quantisation to NVFP4: the rules that choose block scales and elements, and the loop over the rows of a matrix.
///
/// A rule is a type with two functions. `global_scale(tensor_amax)` gives the factor the tensor shares;
/// `operator()(x, global, channel_weights)` turns 16 values into an `Nvfp4Block`. Every rule uses the same elements for
/// a given block scale: e2m1(x / (scale * global)), product and quotient each rounded to float, ties to even. The
/// results are the same bits on host and device, at any optimisation level, under `-ffast-math` too. They are defined
/// for finite x and valid global scales; `quantize_rows` checks both.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/rounding.hpp>
#include <reset/nvfp4/detail/quantize_block.hpp>
#include <reset/nvfp4/e4m3.hpp>
#include <reset/nvfp4/layout.hpp>
#include <reset/nvfp4/matrix.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// 16 quantised values: what one block of a matrix stores.
struct Nvfp4Block {
  std::uint8_t scale;      ///< E4M3 code, sign clear.
  std::uint8_t packed[8];  ///< E2M1 codes, element 2 i in the low nibble of byte i.
};

namespace detail {

/// The block of `x` at the scale with code `scale`; zeros where the scale is zero, so that nothing divides by it.
RESET_HOST_DEVICE inline Nvfp4Block encode_block(const float* x, const BlockMagnitudes& magnitudes, std::uint8_t scale,
                                                 GlobalScale global) noexcept {
  Nvfp4Block block{scale, {}};
  if (scale == 0) return block;
  const BlockCodes codes(magnitudes, scale, global);
  for (int i = 0; i < kBlockValues; ++i) {
    const std::uint32_t nibble = static_cast<std::uint32_t>(codes.code[i]) | (bits_of(x[i]) >> 31 << 3);
    block.packed[i / 2] = static_cast<std::uint8_t>(block.packed[i / 2] | nibble << (i % 2 * 4));
  }
  return block;
}

}  // namespace detail

/// The plain rule: scale = e4m3(block maximum / 6 / global), the global scale mapping the tensor's maximum to 6 * 448.
/// What NVFP4 checkpoints of ModelOpt and compressed-tensors hold. Ignores channel weights.
struct RoundToNearest {
  /// max|tensor| / (6 * 448); 1 for a tensor of zeros; never subnormal.
  RESET_HOST_DEVICE GlobalScale global_scale(float tensor_amax) const noexcept {
    return detail::global_from_amax(tensor_amax, kE4M3Max);
  }

  /// The block of x[0..15].
  RESET_HOST_DEVICE Nvfp4Block operator()(const float* x, GlobalScale global,
                                          const float* /*channel_weights*/ = nullptr) const noexcept {
    const detail::BlockMagnitudes magnitudes(x);
    const std::uint8_t scale = float_to_e4m3(detail::unrounded_scale(magnitudes.max(), global));
    return detail::encode_block(x, magnitudes, scale, global);
  }
};

/// How the 16 errors |quantised - x| of a block become one number.
enum class ErrorMeasure : std::uint8_t {
  kMeanSquared,   ///< Mean of the squares.
  kMeanAbsolute,  ///< Mean of the magnitudes.
  kMaxAbsolute,   ///< Largest magnitude.
};

/// Four Over Six (arXiv 2512.02010): puts the block's maximum on 6, or on 4 if that gives the strictly smaller error,
/// which spares the wide gap between 4 and 6. Ignores channel weights.
struct FourOverSix {
  ErrorMeasure measure = ErrorMeasure::kMeanSquared;  ///< What decides between the two.

  /// max|tensor| / (6 * 256), which leaves room for scales 1.5 times as large; 1 for a tensor of zeros; never
  /// subnormal.
  RESET_HOST_DEVICE GlobalScale global_scale(float tensor_amax) const noexcept {
    return detail::global_from_amax(tensor_amax, 256.0f);
  }

  /// The block of x[0..15].
  RESET_HOST_DEVICE Nvfp4Block operator()(const float* x, GlobalScale global,
                                          const float* /*channel_weights*/ = nullptr) const noexcept {
    const detail::BlockMagnitudes magnitudes(x);
    const float unrounded = detail::unrounded_scale(magnitudes.max(), global);
    const std::uint8_t on_six = float_to_e4m3(unrounded);
    const std::uint8_t on_four = float_to_e4m3(detail::mul_rn(1.5f, unrounded));
    const bool four_wins = error(magnitudes, on_four, global) < error(magnitudes, on_six, global);
    return detail::encode_block(x, magnitudes, four_wins ? on_four : on_six, global);
  }

 private:
  RESET_HOST_DEVICE double error(const detail::BlockMagnitudes& magnitudes, std::uint8_t scale,
                                 GlobalScale global) const noexcept {
    switch (measure) {
      case ErrorMeasure::kMeanAbsolute:
        return detail::block_error(magnitudes, scale, global, detail::SumOfMagnitudes());
      case ErrorMeasure::kMaxAbsolute:
        return detail::block_error(magnitudes, scale, global, detail::LargestMagnitude());
      default:
        return detail::block_error(magnitudes, scale, global, detail::SumOfSquares());
    }
  }
};

/// ScaleSweep (arXiv 2606.07618): starts from the E4M3 pattern of block maximum / 6 rounded down and tries the patterns
/// -3..+7 around it. With channel weights (one non-negative factor for each input feature: the squared norm of that
/// channel in the activations) the errors are weighted and the patterns -8..+7 are tried. The first of equal errors
/// wins; weights that are all zero count as none.
///
/// A start below pattern 8 always ends at pattern 15: the published window holds the smallest squared error of all 126
/// scales only because half of a scale is a scale, which is not so for the odd patterns up to 15.
struct ScaleSweep {
  /// max|tensor| / (6 * 256), as Four Over Six; 1 for a tensor of zeros; never subnormal.
  RESET_HOST_DEVICE GlobalScale global_scale(float tensor_amax) const noexcept {
    return detail::global_from_amax(tensor_amax, 256.0f);
  }

  /// The block of x[0..15]; channel_weights is null or those of the same 16 input features.
  RESET_HOST_DEVICE Nvfp4Block operator()(const float* x, GlobalScale global,
                                          const float* channel_weights = nullptr) const noexcept {
    const detail::BlockMagnitudes magnitudes(x);
    const float block_amax = magnitudes.max();
    if (detail::bits_of(block_amax) == 0) return {};
    const int start = float_to_e4m3_toward_zero(detail::unrounded_scale(block_amax, global));
    const bool weighted = channel_weights != nullptr && detail::BlockMagnitudes(channel_weights).any();
    const std::uint8_t scale =
        weighted ? best(magnitudes, start - 8, start + 7, global, detail::WeightedSumOfSquares(channel_weights))
                 : best(magnitudes, start - 3, start + 7, global, detail::SumOfSquares());
    return detail::encode_block(x, magnitudes, scale, global);
  }

 private:
  static constexpr int kLastOddPattern = 15;

  template <class Fold>
  RESET_HOST_DEVICE static std::uint8_t best(const detail::BlockMagnitudes& magnitudes, int first, int last,
                                             GlobalScale global, Fold fold) noexcept {
    first = first < 1 ? 1 : first;
    last = last < kLastOddPattern ? kLastOddPattern : last > 0x7e ? 0x7e : last;
    std::uint8_t best_scale = static_cast<std::uint8_t>(first);
    double best_error = detail::block_error(magnitudes, best_scale, global, fold);
    for (int candidate = first + 1; candidate <= last; ++candidate) {
      const std::uint8_t scale = static_cast<std::uint8_t>(candidate);
      const double error = detail::block_error(magnitudes, scale, global, fold);
      if (error < best_error) {
        best_error = error;
        best_scale = scale;
      }
    }
    return best_scale;
  }
};

/// max|x| over `rows` x `cols` values, rows `ld` values apart. Throws Error for a null x with rows, for ld < cols, and
/// naming the row (counted from `first_row`) and column of a value that is not finite. The maximum of a tensor that is
/// read in pieces is the largest of the pieces'.
inline float tensor_amax(const float* x, std::int64_t rows, std::int64_t cols, std::int64_t ld,
                         std::int64_t first_row = 0);

/// Quantises rows first_row .. first_row + row_count - 1 of a matrix into `out`, with the global scales that `out`
/// carries; other rows are not touched, so that large matrices can be streamed and shared among threads.
///
/// x holds the `row_count` rows of out.cols values, `ld` values apart, beginning with row `first_row`. channel_weights
/// is null or holds out.cols non-negative factors (see ScaleSweep). The padding of a swizzled scale tensor is not
/// written. Throws Error if an argument is outside its domain, codes and scales of `out` overlap, or x either of them,
/// or a value is not finite (naming row and column); nothing is written then.
template <class Rule>
void quantize_rows(const Rule& rule, const float* x, std::int64_t ld, std::int64_t first_row, std::int64_t row_count,
                   const float* channel_weights, const Nvfp4MutableMatrixView& out);

RESET_NAMESPACE_END

#include <reset/nvfp4/detail/quantize_rows.hpp>
