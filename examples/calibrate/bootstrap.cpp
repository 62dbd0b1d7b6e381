#include "bootstrap.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <random>

namespace calibrate {
namespace {

constexpr std::size_t kResamples = 4000;
constexpr std::size_t kTail = kResamples / 40;  // 2.5 % on either side

double mean(double sum, std::size_t count) { return sum / static_cast<double>(count); }

// 0..count-1, the same numbers with every standard library; `count` is far below 2^32.
std::size_t draw(std::mt19937& random, std::size_t count) {
  return static_cast<std::size_t>((std::uint64_t{random()} * count) >> 32);
}

}  // namespace

Estimate bootstrap(const std::vector<double>& values) {
  Estimate estimate;
  estimate.mean = mean(std::accumulate(values.begin(), values.end(), 0.0), values.size());
  if (std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end()) return estimate;
  std::mt19937 random;
  std::vector<double> means(kResamples);
  for (double& resampled : means) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += values[draw(random, values.size())];
    resampled = mean(sum, values.size());
  }
  std::sort(means.begin(), means.end());
  estimate.interval = Interval{means[kTail], means[kResamples - 1 - kTail]};
  return estimate;
}

}  // namespace calibrate
