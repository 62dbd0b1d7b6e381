// What the rules promise about each other, per block and at equal global scale, and the published mean squared errors.
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include <reset/nvfp4/quantize.hpp>

#include "nvfp4/samples.hpp"
#include "support/catch.hpp"

using reset::FourOverSix;
using reset::GlobalScale;
using reset::RoundToNearest;
using reset::ScaleSweep;
using samples::kBlock;
using samples::squared_error;

namespace {

constexpr double kRoundingOfSums = 1 + 1e-12;

void check_order(const std::vector<float>& x, GlobalScale global) {
  int worse_than_four_over_six = 0;
  int worse_than_nearest = 0;
  int four_over_six_worse = 0;
  int better = 0;
  for (std::size_t i = 0; i < x.size(); i += kBlock) {
    const double nearest = squared_error(&x[i], RoundToNearest()(&x[i], global), global);
    const double four_over_six = squared_error(&x[i], FourOverSix()(&x[i], global), global);
    const double sweep = squared_error(&x[i], ScaleSweep()(&x[i], global), global);
    worse_than_four_over_six += sweep > four_over_six * kRoundingOfSums;
    worse_than_nearest += sweep > nearest * kRoundingOfSums;
    four_over_six_worse += four_over_six > nearest * kRoundingOfSums;
    better += sweep < 0.99 * nearest;
  }
  CHECK(worse_than_four_over_six == 0);
  CHECK(worse_than_nearest == 0);
  CHECK(four_over_six_worse == 0);
  CHECK(better > static_cast<int>(x.size() / kBlock / 3));
}

void check_order(const std::vector<float>& x) {
  check_order(x, RoundToNearest().global_scale(samples::amax(x)));
  check_order(x, ScaleSweep().global_scale(samples::amax(x)));
}

void check_weighted(const std::vector<float>& x) {
  std::mt19937_64 random(9);
  std::lognormal_distribution<double> spread(0.0, 2.0);
  std::vector<float> weights(x.size());
  for (float& weight : weights) weight = static_cast<float>(spread(random));
  const GlobalScale global = ScaleSweep().global_scale(samples::amax(x));
  int worse = 0;
  int better = 0;
  for (std::size_t i = 0; i < x.size(); i += kBlock) {
    const float* w = &weights[i];
    const double weighted = squared_error(&x[i], ScaleSweep()(&x[i], global, w), global, w);
    const double plain = squared_error(&x[i], ScaleSweep()(&x[i], global), global, w);
    worse += weighted > plain * kRoundingOfSums;
    worse += weighted > squared_error(&x[i], FourOverSix()(&x[i], global), global, w) * kRoundingOfSums;
    worse += weighted > squared_error(&x[i], RoundToNearest()(&x[i], global), global, w) * kRoundingOfSums;
    better += weighted < 0.99 * plain;
  }
  CHECK(worse == 0);
  CHECK(better > static_cast<int>(x.size() / kBlock / 3));
}

template <class Rule>
double mean_squared_error(const Rule& rule, const std::vector<float>& x) {
  const GlobalScale global = rule.global_scale(samples::amax(x));
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); i += kBlock) sum += squared_error(&x[i], rule(&x[i], global), global);
  return sum / static_cast<double>(x.size());
}

}  // namespace

TEST_CASE("ScaleSweep is never worse than Four Over Six or round-to-nearest on Gaussian values") {
  check_order(samples::gaussian(64000));
}

TEST_CASE("ScaleSweep is never worse than Four Over Six or round-to-nearest on heavy tails") {
  check_order(samples::student_t(64000));
  check_order(samples::laplace_with_outliers(64000));
}

TEST_CASE("ScaleSweep is never worse than Four Over Six or round-to-nearest on real weights") {
  const std::vector<float> weights = samples::real_weights();
  REQUIRE(weights.size() == 85 * 384);
  REQUIRE(samples::amax(weights) > 0.1f);
  check_order(weights);
}

TEST_CASE("the weighted sweep is never worse in weighted error") {
  check_weighted(samples::gaussian(48000));
  check_weighted(samples::laplace_with_outliers(48000));
  check_weighted(samples::real_weights());
}

TEST_CASE("mean squared errors on standard normal values are the published ones within 3 %") {
  const std::vector<float> x = samples::gaussian(192000, 7);
  CHECK(std::fabs(mean_squared_error(RoundToNearest(), x) / 0.0090 - 1) < 0.03);
  CHECK(std::fabs(mean_squared_error(FourOverSix(), x) / 0.0075 - 1) < 0.03);
  CHECK(std::fabs(mean_squared_error(ScaleSweep(), x) / 0.0066 - 1) < 0.03);
}

TEST_CASE("weights that are all zero count as none") {
  const std::vector<float> x = samples::gaussian(1600);
  const std::vector<float> none(kBlock, 0.0f);
  const GlobalScale global{0.001f};
  int different = 0;
  for (std::size_t i = 0; i < x.size(); i += kBlock) {
    different += !samples::same(ScaleSweep()(&x[i], global, none.data()), ScaleSweep()(&x[i], global));
  }
  CHECK(different == 0);
}
