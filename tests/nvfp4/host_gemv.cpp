// The host mat-vec against the oracle, element by element, for every set of lanes that this build has.
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <reset/nvfp4/reference.hpp>

#include "nvfp4/random_matrix.hpp"
#include "support/catch.hpp"

using reset::Nvfp4MatrixView;
using reset::ScaleLayout;

namespace {

constexpr float kPoison = -1.25e30f;

// The documented bound on |y - exact| of one element.
double bound(const Nvfp4MatrixView& view, std::int64_t row, const float* x) {
  double magnitude = 0;
  for (std::int64_t k = 0; k < view.cols; ++k) {
    magnitude += std::fabs(reset::dequantize(view, row, k) * static_cast<double>(x[k]));
  }
  const double depth = static_cast<double>(view.cols) / 16 + 32;
  const double flushed = static_cast<double>(view.cols) * static_cast<double>(view.global.at(row).value) + 1;
  return depth * 0x1p-24 * magnitude + flushed * 0x1p-125;
}

struct Call {
  std::int64_t tokens;
  std::int64_t ldx;
  std::int64_t ldy;
  std::int64_t row_begin;
  std::int64_t row_end;
};

// Elements out of bounds, missing, or written where they should not be.
template <class Lanes>
int count_wrong(const Nvfp4MatrixView& view, const float* x, const Call& call) {
  std::vector<double> exact(static_cast<std::size_t>(call.tokens * view.rows));
  std::vector<float> y(static_cast<std::size_t>(call.tokens * call.ldy), kPoison);
  if (!reset::reference_gemv(view, x, call.tokens, call.ldx, exact.data(), view.rows).ok()) return -1;
  if (!reset::host_gemv<Lanes>(view, x, call.tokens, call.ldx, y.data(), call.ldy, call.row_begin, call.row_end).ok()) {
    return -1;
  }
  int wrong = 0;
  for (std::int64_t m = 0; m < call.tokens; ++m) {
    for (std::int64_t n = 0; n < call.ldy; ++n) {
      const float found = y[static_cast<std::size_t>(m * call.ldy + n)];
      if (n < call.row_begin || n >= call.row_end) {
        wrong += found != kPoison;
        continue;
      }
      const double expected = exact[static_cast<std::size_t>(m * view.rows + n)];
      wrong += !(std::fabs(static_cast<double>(found) - expected) <= bound(view, n, x + m * call.ldx));
    }
  }
  return wrong;
}

int count_wrong(const Nvfp4MatrixView& view, const float* x, const Call& call) {
  return count_wrong<reset::detail::PortableLanes>(view, x, call) +
#if defined(__AVX2__) && defined(__FMA__)
         count_wrong<reset::detail::Avx2Lanes>(view, x, call) +
#endif
         count_wrong<reset::detail::HostLanes>(view, x, call);
}

}  // namespace

TEST_CASE("every M from 1 to 16, and more, is within the bound in both layouts") {
  for (const ScaleLayout layout : {ScaleLayout::kLinear, ScaleLayout::kSwizzled128x4}) {
    const RandomMatrix matrix(37, 176, layout);
    const std::vector<float> x = random_activations(40 * 176);
    for (const std::int64_t tokens : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 33, 40}) {
      CAPTURE(tokens);
      CHECK(count_wrong(matrix.view, x.data(), {tokens, 176, 37, 0, 37}) == 0);
    }
  }
}

TEST_CASE("odd shapes, strides and unaligned memory are within the bound") {
  for (const ScaleLayout layout : {ScaleLayout::kLinear, ScaleLayout::kSwizzled128x4}) {
    for (const std::int64_t rows : {1, 3, 130}) {
      // 1040 and 2064 are one block more than whole tiles of the inner loop.
      for (const std::int64_t cols : {16, 48, 1024, 1040, 2064}) {
        const RandomMatrix matrix(rows, cols, layout, 3, 1);
        const std::vector<float> x = random_activations(static_cast<std::size_t>(3 * (cols + 5) + 1));
        CAPTURE(rows, cols);
        CHECK(count_wrong(matrix.view, x.data() + 1, {1, 0, rows, 0, rows}) == 0);
        CHECK(count_wrong(matrix.view, x.data() + 1, {3, cols + 5, rows + 2, rows / 3, rows}) == 0);
      }
    }
  }
}

TEST_CASE("sub-matrices of a swizzled parent are within the bound") {
  const RandomMatrix matrix(300, 208, ScaleLayout::kSwizzled128x4);
  const std::vector<float> x = random_activations(6 * 112);
  for (const std::int64_t first : {0, 5, 127, 180}) {
    for (const std::int64_t first_k : {0, 16, 48, 96}) {
      const Nvfp4MatrixView part = col_slice(row_slice(matrix.view, first, 120), first_k, 112);
      CHECK(count_wrong(part, x.data(), {6, 112, 120, 0, 120}) == 0);
    }
  }
}

TEST_CASE("every pair of codes is multiplied right") {
  // 127 rows, one a scale; two blocks hold the 16 elements in both orders; a single non-zero activation picks one.
  RandomMatrix matrix(127, 32, ScaleLayout::kLinear);
  matrix.view.global = reset::FusedGlobalScales::uniform({1.0f});
  for (std::size_t row = 0; row < 127; ++row) {
    for (std::size_t byte = 0; byte < 8; ++byte) {
      matrix.packed[row * 16 + byte] = static_cast<std::uint8_t>(2 * byte | (2 * byte + 1) << 4);
      matrix.packed[row * 16 + 8 + byte] = static_cast<std::uint8_t>((15 - 2 * byte) | (14 - 2 * byte) << 4);
    }
    matrix.scales[row * 2] = matrix.scales[row * 2 + 1] = static_cast<std::uint8_t>(row);
  }
  int wrong = 0;
  for (std::int64_t k = 0; k < 32; ++k) {
    std::vector<float> x(32, 0.0f);
    x[static_cast<std::size_t>(k)] = 1.0f;
    std::vector<float> y(127, kPoison);
    std::vector<float> portable(127, kPoison);
    REQUIRE(reset::host_gemv(matrix.view, x.data(), 1, 32, y.data(), 127, 0, 127).ok());
    REQUIRE(reset::host_gemv<reset::detail::PortableLanes>(matrix.view, x.data(), 1, 32, portable.data(), 127, 0, 127)
                .ok());
    for (std::int64_t row = 0; row < 127; ++row) {
      const double expected = reset::dequantize(matrix.view, row, k);
      wrong += static_cast<double>(y[static_cast<std::size_t>(row)]) != expected;
      wrong += static_cast<double>(portable[static_cast<std::size_t>(row)]) != expected;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("a token's bits depend neither on the other tokens nor on the range of rows") {
  const RandomMatrix matrix(23, 1360, ScaleLayout::kSwizzled128x4);
  const std::vector<float> x = random_activations(16 * 1360);
  std::vector<float> all(16 * 23, kPoison);
  REQUIRE(reset::host_gemv(matrix.view, x.data(), 16, 1360, all.data(), 23, 0, 23).ok());
  int different = 0;
  for (std::size_t m = 0; m < 16; ++m) {
    std::vector<float> alone(23, kPoison);
    for (const std::int64_t begin : {0, 9, 15}) {
      const std::int64_t end = begin == 0 ? 9 : begin == 9 ? 15 : 23;
      REQUIRE(reset::host_gemv(matrix.view, x.data() + m * 1360, 1, 0, alone.data(), 0, begin, end).ok());
    }
    for (std::size_t n = 0; n < 23; ++n) {
      different += reset::detail::bits_of(alone[n]) != reset::detail::bits_of(all[m * 23 + n]);
    }
  }
  CHECK(different == 0);
}

TEST_CASE("bad arguments of the mat-vec are named, and nothing is written") {
  const RandomMatrix matrix(5, 32, ScaleLayout::kLinear);
  const std::vector<float> x(64, 1.0f);
  std::vector<float> y(16, kPoison);
  const auto call = [&](const float* in, std::int64_t tokens, std::int64_t ldx, float* out, std::int64_t ldy,
                        std::int64_t begin, std::int64_t end) {
    return reset::host_gemv(matrix.view, in, tokens, ldx, out, ldy, begin, end).message();
  };
  CHECK(call(nullptr, 1, 32, y.data(), 5, 0, 5) == "invalid argument: x is 0, expected not null");
  CHECK(call(x.data(), 1, 32, nullptr, 5, 0, 5) == "invalid argument: y is 0, expected not null");
  CHECK(call(x.data(), 0, 32, y.data(), 5, 0, 5) == "invalid argument: M is 0, expected 1 or more");
  CHECK(call(x.data(), 2, 31, y.data(), 5, 0, 5) == "invalid argument: ldx is 31, expected at least cols");
  CHECK(call(x.data(), 2, 32, y.data(), 4, 0, 5) == "invalid argument: ldy is 4, expected at least rows");
  CHECK(call(x.data(), 1, 32, y.data(), 5, -1, 5) == "invalid argument: row_begin is -1, expected 0 or more");
  CHECK(call(x.data(), 1, 32, y.data(), 5, 0, 6) == "invalid argument: row_end is 6, expected at most rows (5)");
  CHECK(call(x.data(), 1, 32, y.data(), 5, 3, 2) == "invalid argument: row_begin is 3, expected at most row_end");
  Nvfp4MatrixView broken = matrix.view;
  broken.cols = 24;
  CHECK(reset::host_gemv(broken, x.data(), 1, 32, y.data(), 5, 0, 5).message() ==
        "invalid argument: cols is 24, expected a multiple of 16");
  double exact[5] = {1, 1, 1, 1, 1};
  CHECK(reset::reference_gemv(broken, x.data(), 1, 32, exact, 5).message() ==
        "invalid argument: cols is 24, expected a multiple of 16");
  for (const float value : y) CHECK(value == kPoison);
  for (const double value : exact) CHECK(value == 1);
  CHECK(call(x.data(), 1, 32, y.data(), 5, 2, 2) == "ok");
  for (const float value : y) CHECK(value == kPoison);
}
