/// @file
/// How much a quantised matrix lost: signal and noise in float64.
#pragma once

#include <cmath>
#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/rounding.hpp>
#include <reset/nvfp4/matrix.hpp>
#include <reset/nvfp4/reference.hpp>

RESET_NAMESPACE_BEGIN

/// Energy of the original values and of what quantisation changed; those of pieces add up.
struct QuantizationError {
  double signal = 0;  ///< Sum of x^2.
  double noise = 0;   ///< Sum of (quantised - x)^2.

  /// Adds another piece of the same tensor.
  QuantizationError& operator+=(const QuantizationError& other) noexcept {
    signal += other.signal;
    noise += other.noise;
    return *this;
  }

  /// Signal-to-noise ratio in decibels, 10 log10(signal / noise); infinity if nothing was lost,
  /// NaN if a value or a scale is.
  double snr_db() const noexcept {
    if (detail::is_nan(noise)) return noise;
    if (noise > 0) return 10 * std::log10(signal / noise);
    return detail::double_from_bits(detail::kDoubleInfinity);
  }
};

/// Compares rows first_row .. first_row + row_count - 1 of a valid view with their originals: `row_count` rows of
/// view.cols values, `ld` values apart, beginning with row `first_row`.
inline QuantizationError quantization_error(const float* x, std::int64_t ld, std::int64_t first_row,
                                            std::int64_t row_count, const Nvfp4MatrixView& view) noexcept {
  QuantizationError error;
  for (std::int64_t i = 0; i < row_count; ++i) {
    for (std::int64_t k = 0; k < view.cols; ++k) {
      const double original = static_cast<double>(x[i * ld + k]);
      const double difference = dequantize(view, first_row + i, k) - original;
      error.signal += original * original;
      error.noise += difference * difference;
    }
  }
  return error;
}

RESET_NAMESPACE_END
