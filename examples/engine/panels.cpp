#include "panels.hpp"

#include <algorithm>

namespace engine {
namespace {

constexpr std::int64_t kTokens = 8;  // that share each load of the weights

// Sums of kCount rows of x with a panel; they stay in registers.
template <int kCount>
void multiply(const float* x, const float* panel, std::int64_t cols, float (&out)[kTokens][Panels::kWidth]) {
  float sums[kCount][Panels::kWidth] = {};
  for (std::int64_t k = 0; k < cols; ++k) {
    const float* weights = panel + k * Panels::kWidth;
    for (int m = 0; m < kCount; ++m) {
      const float value = x[m * cols + k];
      for (std::int64_t n = 0; n < Panels::kWidth; ++n) sums[m][n] += value * weights[n];
    }
  }
  for (int m = 0; m < kCount; ++m) std::copy_n(sums[m], Panels::kWidth, out[m]);
}

}  // namespace

Panels::Panels(std::int64_t rows, std::int64_t cols)
    : rows_(rows), cols_(cols), values_(static_cast<std::size_t>((rows + kWidth - 1) / kWidth * kWidth * cols)) {}

void Panels::set_row(std::int64_t row, const float* values) {
  float* at = values_.data() + row / kWidth * kWidth * cols_ + row % kWidth;
  for (std::int64_t k = 0; k < cols_; ++k) at[k * kWidth] = values[k];
}

void Panels::apply(const float* x, std::int64_t count, float* y, std::int64_t begin, std::int64_t end) const {
  float out[kTokens][kWidth];
  for (std::int64_t first = begin / kWidth * kWidth; first < end; first += kWidth) {
    const float* panel = values_.data() + first * cols_;
    const std::int64_t from = std::max(begin, first);
    const std::int64_t size = std::min(end, first + kWidth) - from;
    for (std::int64_t m = 0; m < count;) {
      const bool whole = count - m >= kTokens;
      whole ? multiply<kTokens>(x + m * cols_, panel, cols_, out) : multiply<1>(x + m * cols_, panel, cols_, out);
      for (const std::int64_t last = m + (whole ? kTokens : 1); m < last; ++m) {
        std::copy_n(out[whole ? m % kTokens : 0] + (from - first), size, y + m * rows_ + from);
      }
    }
  }
}

}  // namespace engine
