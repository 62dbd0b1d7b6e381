// What the sampler's tests share: rows of logits, and what their softmax is in plain double arithmetic.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include <reset/sampler/logits.hpp>

namespace sampler_test {

inline constexpr float kInfinity = reset::detail::float_from_bits(0x7f800000u);
inline constexpr float kNaN = reset::detail::float_from_bits(0x7fc00000u);

inline bool close(double a, double b, double tolerance) { return !(std::abs(a - b) > tolerance); }

/// Entropy in nats from the definition, sum -p log p, over the values above -inf.
inline double oracle_entropy(const std::vector<float>& row) {
  std::vector<double> finite;
  for (const float x : row) {
    if (reset::detail::is_finite(x)) finite.push_back(static_cast<double>(x));
  }
  const double max = *std::max_element(finite.begin(), finite.end());
  double z = 0.0;
  for (const double x : finite) z += std::exp(std::max(x - max, -700.0));
  double h = 0.0;
  for (const double x : finite) {
    // volatile: fast-math would subtract max + log z, in which log z can drown.
    volatile const double below_max = x - max;
    const double log_p = below_max - std::log(z);
    if (log_p > -700.0) h -= std::exp(log_p) * log_p;
  }
  return h;
}

/// A row whose logits are normal with a few peaks above them, as a language model's are.
inline std::vector<float> make_row(std::size_t columns, unsigned seed, float spread, int peaks, float height) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, spread);
  std::vector<float> row(columns);
  for (float& x : row) x = normal(random);
  for (int i = 0; i < peaks; ++i) row[random() % columns] = height + normal(random);
  return row;
}

/// The nearest bfloat16 (ties away from zero suffice here).
inline reset::BFloat16 to_bfloat16(float x) {
  const std::uint32_t bits = reset::detail::bits_of(x);
  if (!reset::detail::is_finite(x)) return {static_cast<std::uint16_t>(bits >> 16)};
  return {static_cast<std::uint16_t>((bits + 0x8000u) >> 16)};
}

}  // namespace sampler_test
