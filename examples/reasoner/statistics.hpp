// Intervals for solve rates.
#pragma once

#include <cmath>
#include <cstdint>

namespace reasoner {

struct Interval {
  double low = 0;
  double high = 0;
};

inline constexpr double kNormal95 = 1.959963984540054;  // half-width of 95 % of a standard normal distribution

// Wilson's score interval at 95 % for `successes` of `trials` (trials > 0): unlike the plain normal interval it keeps
// inside 0..1 and its coverage near 0 and 1.
inline Interval wilson(std::int64_t successes, std::int64_t trials) {
  const double z2 = kNormal95 * kNormal95;
  const auto n = static_cast<double>(trials);
  const double p = static_cast<double>(successes) / n;
  const double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = kNormal95 / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  return {std::fmax(0.0, centre - half), std::fmin(1.0, centre + half)};
}

// Interval at 95 % for the mean difference of `trials` pairs of which `gained` went from unsolved to solved and `lost`
// the other way: the pairs that agree carry no noise, which is what pairing the seeds is for. After Agresti and Min
// (2005), half a pair is added to each of the four outcomes, so that few or no pairs that differ claim no certainty.
inline Interval paired_difference(std::int64_t gained, std::int64_t lost, std::int64_t trials) {
  const double n = static_cast<double>(trials) + 2;
  const double mean = static_cast<double>(gained - lost) / n;
  const double variance = (static_cast<double>(gained + lost + 1) / n - mean * mean) / n;
  const double half = kNormal95 * std::sqrt(std::fmax(0.0, variance));
  return {std::fmax(-1.0, mean - half), std::fmin(1.0, mean + half)};
}

}  // namespace reasoner
