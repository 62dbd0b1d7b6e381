// Each rule against its definition: scales and elements computed by divisions, candidates tried one by one.
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include <reset/nvfp4/quantize.hpp>

#include "nvfp4/samples.hpp"
#include "support/catch.hpp"

using reset::ErrorMeasure;
using reset::FourOverSix;
using reset::GlobalScale;
using reset::Nvfp4Block;
using reset::RoundToNearest;
using reset::ScaleSweep;
using samples::at_scale;
using samples::kBlock;
using samples::same;

namespace {

constexpr double kRoundingOfSums = 1 + 1e-12;

float block_amax(const float* x) { return samples::amax(std::vector<float>(x, x + kBlock)); }

std::uint8_t nearest_scale(const float* x, GlobalScale global, float factor) {
  const float quotient = reset::detail::div_rn(reset::detail::div_rn(block_amax(x), 6.0f), global.value);
  return reset::float_to_e4m3(reset::detail::mul_rn(factor, quotient));
}

double measured(ErrorMeasure measure, const float* x, const Nvfp4Block& block, GlobalScale global) {
  double sum = 0;
  for (int i = 0; i < kBlock; ++i) {
    const double error = std::fabs(samples::value_of(block, global, i) - static_cast<double>(x[i]));
    if (measure == ErrorMeasure::kMeanSquared) sum += error * error;
    if (measure == ErrorMeasure::kMeanAbsolute) sum += error;
    if (measure == ErrorMeasure::kMaxAbsolute) sum = std::fmax(sum, error);
  }
  return sum;
}

// Blocks of every magnitude from far below the tensor's maximum to the maximum itself.
std::vector<float> blocks_of_all_sizes(std::size_t blocks) {
  std::vector<float> x = samples::gaussian(blocks * kBlock, 11);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] *= std::ldexp(1.0f, -static_cast<int>(i / kBlock % 24));
  return x;
}

}  // namespace

TEST_CASE("elements are those of the rounded quotient, to the bit, around every boundary") {
  std::mt19937 random(5);
  const double limits[] = {0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0};
  int wrong = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    // Global scales from 2^-126 to 2^100, full significands.
    const std::uint32_t exponent = trial % 8 == 0 ? 1 : 1 + static_cast<std::uint32_t>(random() % 226);
    const GlobalScale global{
        reset::detail::float_from_bits(exponent << 23 | (static_cast<std::uint32_t>(random()) & 0x7fffff))};
    const auto scale = static_cast<std::uint8_t>(1 + random() % 126);
    const double step = static_cast<double>(reset::e4m3_to_float(scale)) * static_cast<double>(global.value);
    float x[kBlock];
    for (int i = 0; i < kBlock; ++i) {
      const std::uint32_t near = reset::detail::bits_of(reset::detail::narrow(limits[i] * step));
      const std::uint32_t bits = near + static_cast<std::uint32_t>(random() % 7) - (near > 3 ? 3 : 0);
      x[i] = reset::detail::float_from_bits(bits | (static_cast<std::uint32_t>(random()) & 0x80000000u));
    }
    const reset::detail::BlockMagnitudes magnitudes(x);
    wrong += !same(reset::detail::encode_block(x, magnitudes, scale, global), at_scale(x, scale, global));
  }
  CHECK(wrong == 0);
}

TEST_CASE("round-to-nearest is its definition, operation by operation") {
  const std::vector<float> x = blocks_of_all_sizes(20000);
  const GlobalScale global = RoundToNearest().global_scale(samples::amax(x));
  int wrong = 0;
  int zero_blocks = 0;
  for (std::size_t i = 0; i < x.size(); i += kBlock) {
    const Nvfp4Block block = RoundToNearest()(&x[i], global);
    wrong += !same(block, at_scale(&x[i], nearest_scale(&x[i], global, 1.0f), global));
    zero_blocks += block.scale == 0;
  }
  CHECK(wrong == 0);
  CHECK(zero_blocks > 100);  // The sample reaches blocks whose scale rounds to zero.
  CHECK(zero_blocks < 15000);
}

TEST_CASE("Four Over Six keeps the second scale only if its error is strictly smaller") {
  const std::vector<float> x = blocks_of_all_sizes(5000);
  for (const ErrorMeasure measure :
       {ErrorMeasure::kMeanSquared, ErrorMeasure::kMeanAbsolute, ErrorMeasure::kMaxAbsolute}) {
    const FourOverSix rule{measure};
    const GlobalScale global = rule.global_scale(samples::amax(x));
    int wrong = 0;
    int on_four = 0;
    for (std::size_t i = 0; i < x.size(); i += kBlock) {
      const Nvfp4Block six = at_scale(&x[i], nearest_scale(&x[i], global, 1.0f), global);
      const Nvfp4Block four = at_scale(&x[i], nearest_scale(&x[i], global, 1.5f), global);
      const double six_error = measured(measure, &x[i], six, global);
      const double four_error = measured(measure, &x[i], four, global);
      // Where the two are equal but for the rounding of the sums, either is right.
      const bool tie = std::fabs(six_error - four_error) <= 1e-13 * six_error;
      const Nvfp4Block block = rule(&x[i], global);
      wrong += tie ? !same(block, six) && !same(block, four) : !same(block, four_error < six_error ? four : six);
      on_four += same(block, four) && !same(block, six);
    }
    CHECK(wrong == 0);
    CHECK(on_four > 1000);
    CHECK(on_four < 4000);
  }
}

TEST_CASE("Four Over Six keeps the first scale of an exact tie") {
  float x[kBlock] = {};
  x[3] = 6.0f;  // Exact as 6 * 1 and as 4 * 1.5.
  const Nvfp4Block block = FourOverSix()(x, GlobalScale{1.0f});
  CHECK(block.scale == reset::float_to_e4m3(1.0f));
  CHECK(block.packed[1] == 0x70);
}

namespace {

// Blocks for which some scale of the 126 has a smaller squared error than the one ScaleSweep chose.
int count_not_best(const std::vector<float>& x, GlobalScale global) {
  int worse = 0;
  for (std::size_t i = 0; i < x.size(); i += kBlock) {
    const double found = samples::squared_error(&x[i], ScaleSweep()(&x[i], global), global) / kRoundingOfSums;
    for (std::uint8_t scale = 0; scale <= 126; ++scale) {
      if (samples::squared_error(&x[i], at_scale(&x[i], scale, global), global) < found) {
        ++worse;
        break;
      }
    }
  }
  return worse;
}

}  // namespace

TEST_CASE("ScaleSweep finds the best of all 126 scales") {
  const std::vector<float> x = blocks_of_all_sizes(1200);
  CHECK(count_not_best(x, RoundToNearest().global_scale(samples::amax(x))) == 0);
  CHECK(count_not_best(x, ScaleSweep().global_scale(samples::amax(x))) == 0);
}

TEST_CASE("ScaleSweep finds the best scale among the smallest ones") {
  // Block maxima of 1 to 16 times 6 * 2^-9, where the scales are no longer spaced by their size.
  std::vector<float> x = samples::gaussian(3000 * kBlock, 17);
  for (std::size_t i = 0; i < x.size(); i += kBlock) {
    const float factor = 6 * 0x1p-9f * (1.0f + static_cast<float>(i / kBlock % 150) / 10.0f) / block_amax(&x[i]);
    for (std::size_t j = i; j < i + kBlock; ++j) x[j] *= factor;
  }
  CHECK(count_not_best(x, GlobalScale{1.0f}) == 0);
}

TEST_CASE("a block of zeros, and one far below the tensor's maximum, are stored as zeros") {
  float x[kBlock] = {};
  const Nvfp4Block zeros{0, {}};
  const GlobalScale global{1.0f};
  CHECK(same(RoundToNearest()(x, global), zeros));
  CHECK(same(FourOverSix()(x, global), zeros));
  CHECK(same(ScaleSweep()(x, global), zeros));
  x[5] = -0x1p-9f;
  CHECK(same(RoundToNearest()(x, global), zeros));
  CHECK(same(FourOverSix()(x, global), zeros));
}

TEST_CASE("global scales map the maximum to 6 x 448 or 6 x 256 and are always valid") {
  CHECK(RoundToNearest().global_scale(2688.0f).value == 1.0f);
  CHECK(FourOverSix().global_scale(1536.0f).value == 1.0f);
  CHECK(ScaleSweep().global_scale(1536.0f).value == 1.0f);
  CHECK(RoundToNearest().global_scale(0.0f).value == 1.0f);
  for (const std::uint32_t bits : {0x00000001u, 0x00800000u, 0x05000000u, 0x7f7fffffu}) {
    CHECK(reset::is_valid(RoundToNearest().global_scale(reset::detail::float_from_bits(bits))));
    CHECK(reset::is_valid(ScaleSweep().global_scale(reset::detail::float_from_bits(bits))));
  }
}
