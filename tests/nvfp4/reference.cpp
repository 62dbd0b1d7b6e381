// Dequantisation and the oracle against arithmetic written out here, sharing nothing with the library.
#include <cmath>
#include <cstdint>
#include <vector>

#include <reset/nvfp4/reference.hpp>

#include "nvfp4/random_matrix.hpp"
#include "support/catch.hpp"

using reset::Nvfp4MatrixView;
using reset::ScaleLayout;

namespace {

double e2m1_value(int nibble) {
  const double magnitudes[8] = {0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0};
  return (nibble & 8) != 0 ? -magnitudes[nibble & 7] : magnitudes[nibble & 7];
}

double e4m3_value(int code) {
  const int exponent = code >> 3;
  return exponent == 0 ? std::ldexp(code & 7, -9) : std::ldexp(8 + (code & 7), exponent - 10);
}

// Element (r, k) from the bytes of an unsliced matrix, by the formulas of the format.
double element(const Nvfp4MatrixView& view, std::int64_t r, std::int64_t k) {
  const int byte = view.packed[r * view.row_stride + k / 2];
  const std::int64_t c = k / 16;
  const std::int64_t padded_blocks = (view.cols / 16 + 3) / 4;
  const std::int64_t offset =
      view.block_scale.layout == ScaleLayout::kLinear
          ? r * (view.cols / 16) + c
          : ((r / 128) * padded_blocks + c / 4) * 512 + (r % 32) * 16 + (r % 128) / 32 * 4 + c % 4;
  const reset::FusedGlobalScales& global = view.global;
  const int part = global.count == 2 && r >= global.parts[1].first_row ? 1 : 0;
  return e2m1_value(k % 2 == 0 ? byte & 15 : byte >> 4) * e4m3_value(view.block_scale.data[offset]) *
         static_cast<double>(global.parts[part].scale.value);
}

}  // namespace

TEST_CASE("dequantisation is exact, in either layout") {
  for (const ScaleLayout layout : {ScaleLayout::kLinear, ScaleLayout::kSwizzled128x4}) {
    const RandomMatrix matrix(200, 112, layout, 5, 1);
    std::vector<float> row(112);
    int wrong = 0;
    int nonzero = 0;
    for (std::int64_t r = 0; r < 200; ++r) {
      for (float& value : row) value = 12345.0f;
      reset::dequantize_row(matrix.view, r, row.data());
      for (std::int64_t k = 0; k < 112; ++k) {
        const double expected = element(matrix.view, r, k);
        wrong += reset::dequantize(matrix.view, r, k) != expected;
        wrong += row[static_cast<std::size_t>(k)] != static_cast<float>(expected);
        nonzero += expected != 0;
      }
    }
    CHECK(wrong == 0);
    CHECK(nonzero > 200 * 112 * 3 / 4);
  }
}

TEST_CASE("slices dequantise to the parent's elements") {
  const RandomMatrix matrix(300, 208, ScaleLayout::kSwizzled128x4);
  const Nvfp4MatrixView part = col_slice(row_slice(matrix.view, 77, 150), 48, 112);
  REQUIRE(validate(part).ok());
  int wrong = 0;
  for (std::int64_t r = 0; r < part.rows; ++r) {
    for (std::int64_t k = 0; k < part.cols; ++k) {
      wrong += reset::dequantize(part, r, k) != element(matrix.view, 77 + r, 48 + k);
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("the oracle is the sum of products, for activations in float and in double") {
  const RandomMatrix matrix(9, 80, ScaleLayout::kLinear);
  const std::vector<float> x = random_activations(3 * 83);
  const std::vector<double> x_double(x.begin(), x.end());
  std::vector<double> y(3 * 11, -7.0);
  std::vector<double> y_double(3 * 11, -7.0);
  REQUIRE(reset::reference_gemv(matrix.view, x.data(), 3, 83, y.data(), 11).ok());
  REQUIRE(reset::reference_gemv(matrix.view, x_double.data(), 3, 83, y_double.data(), 11).ok());
  for (std::size_t m = 0; m < 3; ++m) {
    for (std::size_t n = 0; n < 9; ++n) {
      double sum = 0;
      double magnitude = 0;
      for (std::size_t k = 0; k < 80; ++k) {
        const double product =
            element(matrix.view, static_cast<std::int64_t>(n), static_cast<std::int64_t>(k)) * x_double[m * 83 + k];
        sum += product;
        magnitude += std::fabs(product);
      }
      CHECK(std::fabs(y[m * 11 + n] - sum) <= 1e-13 * magnitude);
      CHECK(std::fabs(y_double[m * 11 + n] - sum) <= 1e-13 * magnitude);
    }
    CHECK((y[m * 11 + 9] == -7.0 && y[m * 11 + 10] == -7.0));
  }
}
