// The loop over rows: streaming, layouts, strides, fused parts, and what it refuses.
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <reset/nvfp4/quantize.hpp>

#include "nvfp4/samples.hpp"
#include "support/catch.hpp"

using reset::FusedGlobalScales;
using reset::GlobalScale;
using reset::Nvfp4MutableMatrixView;
using reset::quantize_rows;
using reset::RoundToNearest;
using reset::ScaleLayout;

namespace {

constexpr std::uint8_t kPoison = 0xa5;

// An NVFP4 matrix that owns its memory, poisoned, with a few bytes of slack after each row.
struct Matrix {
  std::vector<std::uint8_t> packed;
  std::vector<std::uint8_t> scales;
  Nvfp4MutableMatrixView view;

  Matrix(std::int64_t rows, std::int64_t cols, ScaleLayout layout, GlobalScale global)
      : packed(static_cast<std::size_t>(rows * (cols / 2 + 3)), kPoison),
        scales(static_cast<std::size_t>(reset::scale_bytes(layout, rows, cols / 16)), kPoison),
        view{packed.data(),
             rows,
             cols,
             cols / 2 + 3,
             {scales.data(), layout, reset::scale_stride(layout, cols / 16), 0, 0},
             FusedGlobalScales::uniform(global)} {}
};

// Elements of `matrix` that differ from the rule applied block by block to x.
template <class Rule>
int count_wrong(const Rule& rule, const Matrix& matrix, const std::vector<float>& x, std::int64_t ld,
                const float* weights = nullptr) {
  int wrong = 0;
  for (std::int64_t row = 0; row < matrix.view.rows; ++row) {
    for (std::int64_t b = 0; b < matrix.view.blocks(); ++b) {
      const float* values = x.data() + row * ld + b * 16;
      const reset::Nvfp4Block expected =
          rule(values, matrix.view.global.at(row), weights == nullptr ? nullptr : weights + b * 16);
      reset::Nvfp4Block found{matrix.scales[static_cast<std::size_t>(matrix.view.block_scale.offset(row, b))], {}};
      for (int i = 0; i < 8; ++i) {
        found.packed[i] = matrix.packed[static_cast<std::size_t>(row * matrix.view.row_stride + b * 8 + i)];
      }
      wrong += !samples::same(expected, found);
    }
  }
  return wrong;
}

template <class Function>
std::string error_of(Function function) {
  try {
    function();
  } catch (const reset::Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("rows quantised in any pieces are the rule's blocks, in either layout") {
  const std::int64_t rows = 131;
  const std::int64_t cols = 80;
  const std::int64_t ld = 83;
  const std::vector<float> x = samples::gaussian(static_cast<std::size_t>(rows * ld));
  for (const ScaleLayout layout : {ScaleLayout::kLinear, ScaleLayout::kSwizzled128x4}) {
    Matrix matrix(rows, cols, layout, RoundToNearest().global_scale(reset::tensor_amax(x.data(), rows, cols, ld)));
    matrix.view.global.count = 2;
    matrix.view.global.parts[1] = {37, {0.01f}};
    for (std::int64_t row = 0; row < rows; row += 50) {
      const std::int64_t count = row + 50 < rows ? 50 : rows - row;
      quantize_rows(RoundToNearest(), x.data() + row * ld, ld, row, count, nullptr, matrix.view);
    }
    CHECK(count_wrong(RoundToNearest(), matrix, x, ld) == 0);
    int slack_written = 0;
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t i = cols / 2; i < matrix.view.row_stride; ++i) {
        slack_written += matrix.packed[static_cast<std::size_t>(row * matrix.view.row_stride + i)] != kPoison;
      }
    }
    CHECK(slack_written == 0);
    int padding_written = 0;
    for (std::size_t offset = 0; offset < matrix.scales.size(); ++offset) {
      const reset::ScaleCoordinate place =
          reset::scale_coordinate(layout, matrix.view.block_scale.stride, static_cast<std::int64_t>(offset));
      const bool padding = place.row >= rows || place.block >= cols / 16;
      padding_written += padding && matrix.scales[offset] != kPoison;
    }
    CHECK(padding_written == 0);
  }
}

TEST_CASE("channel weights reach the rule, block by block") {
  const std::vector<float> x = samples::gaussian(5 * 48);
  std::vector<float> weights = samples::gaussian(48, 4);
  for (float& weight : weights) weight *= weight * weight * weight;
  for (std::size_t i = 16; i < 32; ++i) weights[i] = 0;
  weights[17] = -0.0f;
  for (float& weight : weights) weight = weight < 0 ? -weight : weight;
  Matrix matrix(5, 48, ScaleLayout::kLinear, reset::ScaleSweep().global_scale(samples::amax(x)));
  quantize_rows(reset::ScaleSweep(), x.data(), 48, 0, 5, weights.data(), matrix.view);
  CHECK(count_wrong(reset::ScaleSweep(), matrix, x, 48, weights.data()) == 0);
  CHECK(count_wrong(reset::ScaleSweep(), matrix, x, 48) != 0);
}

TEST_CASE("the largest magnitude of a tensor is found, and what is not finite is named") {
  std::vector<float> x = samples::gaussian(3 * 40);
  x[2 * 40 + 7] = -9.5f;
  x[1 * 40 + 33] = 100.0f;  // Beyond the 32 columns that count.
  CHECK(reset::tensor_amax(x.data(), 3, 32, 40) == 9.5f);
  CHECK(reset::tensor_amax(x.data(), 0, 32, 40) == 0.0f);
  x[1 * 40 + 31] = reset::detail::float_from_bits(0xff800000u);
  CHECK(error_of([&] { static_cast<void>(reset::tensor_amax(x.data(), 3, 32, 40, 500)); }) ==
        "invalid argument: x[row 501, column 31] is -inf, expected a finite value");
  x[1 * 40 + 4] = reset::detail::float_from_bits(0x7fc00000u);
  CHECK(error_of([&] { static_cast<void>(reset::tensor_amax(x.data(), 3, 32, 40)); }) ==
        "invalid argument: x[row 1, column 4] is nan, expected a finite value");
  CHECK(error_of([&] { static_cast<void>(reset::tensor_amax(nullptr, 3, 32, 40)); }) ==
        "invalid argument: x is 0, expected not null");
  CHECK(error_of([&] { static_cast<void>(reset::tensor_amax(x.data(), 3, 32, 31)); }) ==
        "invalid argument: ld is 31, expected at least cols");
}

TEST_CASE("bad input to quantize_rows is named, and nothing is written") {
  std::vector<float> x = samples::gaussian(4 * 32);
  Matrix matrix(4, 32, ScaleLayout::kLinear, GlobalScale{0.001f});
  const auto call = [&](std::int64_t ld, std::int64_t first, std::int64_t count, const float* weights) {
    return error_of([&] { quantize_rows(RoundToNearest(), x.data(), ld, first, count, weights, matrix.view); });
  };
  CHECK(call(31, 0, 4, nullptr) == "invalid argument: ld is 31, expected at least out.cols (32)");
  CHECK(call(32, -1, 4, nullptr) == "invalid argument: first_row is -1, expected 0..out.rows");
  CHECK(call(32, 1, 4, nullptr) == "invalid argument: row_count is 4, expected 0..out.rows - first_row (3)");
  CHECK(call(32, 1, std::numeric_limits<std::int64_t>::max(), nullptr).find("row_count") != std::string::npos);
  std::vector<float> weights(32, 1.0f);
  weights[9] = -2.0f;
  CHECK(call(32, 0, 4, weights.data()).find("channel_weights[9] is -2.0") != std::string::npos);
  weights[9] = reset::detail::float_from_bits(0x7fc00000u);
  CHECK(call(32, 0, 4, weights.data()).find("channel_weights[9] is nan") != std::string::npos);
  x[3 * 32 + 30] = reset::detail::float_from_bits(0x7f800000u);
  CHECK(call(32, 0, 4, nullptr) == "invalid argument: x[row 3, column 30] is inf, expected a finite value");
  Nvfp4MutableMatrixView broken = matrix.view;
  broken.global.parts[0].scale.value = 0.0f;
  CHECK(error_of([&] {
          quantize_rows(RoundToNearest(), x.data(), 32, 0, 1, nullptr, broken);
        }).find("global.parts[0].scale") != std::string::npos);
  broken = matrix.view;
  broken.block_scale.data = broken.packed + 18;  // of the second row, behind the first one's slack
  CHECK(error_of([&] {
          quantize_rows(RoundToNearest(), x.data(), 32, 0, 1, nullptr, broken);
        }).find("expected memory that does not overlap packed") != std::string::npos);
  for (const bool codes : {true, false}) {
    broken = matrix.view;
    (codes ? broken.packed : broken.block_scale.data) = reinterpret_cast<std::uint8_t*>(x.data() + 3 * 32);
    CHECK(error_of([&] {
            quantize_rows(RoundToNearest(), x.data(), 32, 0, 4, nullptr, broken);
          }).find("expected memory that does not overlap the result") != std::string::npos);
  }
  CHECK(error_of([&] {
          quantize_rows(RoundToNearest(), static_cast<const float*>(nullptr), 32, 0, 1, nullptr, matrix.view);
        }).find("x is 0, expected not null") != std::string::npos);
  for (const std::uint8_t byte : matrix.packed) REQUIRE(byte == kPoison);
  for (const std::uint8_t byte : matrix.scales) REQUIRE(byte == kPoison);
  CHECK(call(32, 0, 3, nullptr) == "no error");
}
