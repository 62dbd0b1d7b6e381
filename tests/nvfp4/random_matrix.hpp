// NVFP4 matrices that own their memory and use every code of both formats.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include <reset/nvfp4/matrix.hpp>

struct RandomMatrix {
  std::vector<std::uint8_t> packed;
  std::vector<std::uint8_t> scales;
  reset::Nvfp4MatrixView view;

  // Rows are `slack` bytes longer than they need be, and the elements begin `misalignment` bytes into the memory.
  RandomMatrix(std::int64_t rows, std::int64_t cols, reset::ScaleLayout layout, int slack = 0, int misalignment = 0)
      : packed(static_cast<std::size_t>(rows * (cols / 2 + slack) + misalignment)),
        scales(static_cast<std::size_t>(reset::scale_bytes(layout, rows, cols / 16))) {
    std::mt19937 random(static_cast<unsigned>(rows * 1000 + cols));
    for (std::uint8_t& byte : packed) byte = static_cast<std::uint8_t>(random());
    for (std::uint8_t& byte : scales) byte = static_cast<std::uint8_t>(random() % 127);
    view = {packed.data() + misalignment,
            rows,
            cols,
            cols / 2 + slack,
            {scales.data(), layout, reset::scale_stride(layout, cols / 16), 0, 0},
            reset::FusedGlobalScales::uniform({0x1.8p-9f})};
    if (rows > 2) {
      view.global.count = 2;
      view.global.parts[1] = {rows / 3 + 1, {0x1.54p-3f}};
    }
  }
  RandomMatrix(const RandomMatrix&) = delete;
  RandomMatrix& operator=(const RandomMatrix&) = delete;
};

// Activations of many magnitudes and both signs.
inline std::vector<float> random_activations(std::size_t count, unsigned seed = 3) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<float> x(count);
  for (std::size_t i = 0; i < count; ++i) {
    x[i] = static_cast<float>(normal(random) * (i % 37 == 0 ? 1000.0 : i % 11 == 0 ? 1e-6 : 1.0));
  }
  return x;
}
