// A matrix decoded once to float32, in an order that a processor multiplies fast: for models whose weights fit its
// caches.
#pragma once

#include <cstdint>
#include <vector>

namespace engine {

class Panels {
 public:
  static constexpr std::int64_t kWidth = 32;  // rows of the matrix in a panel, side by side for each k

  Panels() = default;
  Panels(std::int64_t rows, std::int64_t cols);

  bool empty() const { return values_.empty(); }
  void set_row(std::int64_t row, const float* values);

  // y[m, n] = sum over k, in order, of W[n, k] * x[m, k] for m in [0, count) and n in [begin, end); x is [count, cols]
  // and y is [count, rows], both without gaps. What a row of x gives does not depend on the others.
  void apply(const float* x, std::int64_t count, float* y, std::int64_t begin, std::int64_t end) const;

 private:
  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
  std::vector<float> values_;  // [panel][col][kWidth]; zeros behind the last row
};

}  // namespace engine
