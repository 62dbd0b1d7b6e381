// Values to quantise: the distributions of the property tests, and error measures written independently of the library.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include <reset/nvfp4/e2m1.hpp>
#include <reset/nvfp4/e4m3.hpp>
#include <reset/nvfp4/quantize.hpp>

namespace samples {

inline constexpr int kBlock = 16;

inline std::vector<float> gaussian(std::size_t count, unsigned seed = 1) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(normal(random));
  return values;
}

inline std::vector<float> student_t(std::size_t count) {
  std::mt19937_64 random(2);
  std::student_t_distribution<double> heavy(3.0);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(heavy(random) * 0.02);
  return values;
}

// Laplace, and one value in 200 forty times as large.
inline std::vector<float> laplace_with_outliers(std::size_t count) {
  std::mt19937_64 random(3);
  std::exponential_distribution<double> exponential;
  std::vector<float> values(count);
  for (float& value : values) {
    const double magnitude = exponential(random) * (random() % 200 == 0 ? 40.0 : 1.0);
    value = static_cast<float>(random() % 2 == 0 ? magnitude : -magnitude);
  }
  return values;
}

// The committed sample of a trained model; see data/README.md.
std::vector<float> real_weights();

inline float amax(const std::vector<float>& values) {
  float largest = 0;
  for (const float value : values) largest = std::fmax(largest, std::fabs(value));
  return largest;
}

// Value of element i of a block, exact in double.
inline double value_of(const reset::Nvfp4Block& block, reset::GlobalScale global, int i) {
  const auto code = static_cast<std::uint8_t>((block.packed[i / 2] >> (i % 2 * 4)) & 15);
  return static_cast<double>(reset::e2m1_to_float(code)) * static_cast<double>(reset::e4m3_to_float(block.scale)) *
         static_cast<double>(global.value);
}

// Sum of the (weighted) squared errors of a block.
inline double squared_error(const float* x, const reset::Nvfp4Block& block, reset::GlobalScale global,
                            const float* weights = nullptr) {
  double sum = 0;
  for (int i = 0; i < kBlock; ++i) {
    const double error = value_of(block, global, i) - static_cast<double>(x[i]);
    sum += error * error * (weights == nullptr ? 1.0 : static_cast<double>(weights[i]));
  }
  return sum;
}

// The block of x at one fixed scale, by divisions: what every rule must store for that scale.
inline reset::Nvfp4Block at_scale(const float* x, std::uint8_t scale, reset::GlobalScale global) {
  reset::Nvfp4Block block{scale, {}};
  if (scale == 0) return block;
  const float step = reset::detail::mul_rn(reset::e4m3_to_float(scale), global.value);
  for (int i = 0; i < kBlock; ++i) {
    const std::uint32_t code = reset::float_to_e2m1(reset::detail::div_rn(x[i], step));
    block.packed[i / 2] = static_cast<std::uint8_t>(block.packed[i / 2] | code << (i % 2 * 4));
  }
  return block;
}

inline bool same(const reset::Nvfp4Block& a, const reset::Nvfp4Block& b) {
  bool equal = a.scale == b.scale;
  for (int i = 0; i < 8; ++i) equal = equal && a.packed[i] == b.packed[i];
  return equal;
}

}  // namespace samples
