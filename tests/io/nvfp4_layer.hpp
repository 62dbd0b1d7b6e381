// An NVFP4 layer as a test lays it down in a file, and its values computed apart from the library.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <reset/io/checkpoint.hpp>

#include "io/support.hpp"

namespace io_test {

struct Layer {
  std::int64_t n;
  std::int64_t k;
  float global;  // Multiplies.
  std::string packed;
  std::string codes;

  // Every element code, and block scales over the whole range that is legal.
  Layer(std::int64_t n_, std::int64_t k_, float global_, unsigned seed) : n(n_), k(k_), global(global_) {
    for (std::int64_t i = 0; i < n * k / 2; ++i)
      packed += static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
    for (std::int64_t i = 0; i < n * k / 16; ++i)
      codes += static_cast<char>((seed = seed * 1664525 + 1013904223) % 127);
  }

  // e2m1 * e4m3 in exact arithmetic; the global scale is left to the test.
  double product(std::int64_t row, std::int64_t col) const {
    static constexpr double kMagnitudes[] = {0, .5, 1, 1.5, 2, 3, 4, 6};
    const auto byte = static_cast<unsigned char>(packed[static_cast<std::size_t>((row * k + col) / 2)]);
    const unsigned nibble = col % 2 == 0 ? byte & 15u : byte >> 4;
    const int code = codes[static_cast<std::size_t>((row * k + col) / 16)];
    const double scale = code < 8 ? std::ldexp(code, -9) : std::ldexp(8 + code % 8, code / 8 - 10);
    return (nibble & 8 ? -1 : 1) * kMagnitudes[nibble & 7] * scale;
  }

  std::string shape() const { return "[" + std::to_string(n) + "," + std::to_string(k / 2) + "]"; }
  std::string scale_shape() const { return "[" + std::to_string(n) + "," + std::to_string(k / 16) + "]"; }
};

// The value that a view holds, by the documented layout alone.
inline double product_in(const reset::Nvfp4MatrixView& view, std::int64_t row, std::int64_t col) {
  Layer copy(1, 16, 1.0f, 0);
  copy.packed.assign(reinterpret_cast<const char*>(view.packed + row * view.row_stride + col / 16 * 8), 8);
  copy.codes.assign(1, static_cast<char>(view.block_scale.data[view.block_scale.offset(row, col / 16)]));
  return copy.product(0, col % 16);
}

inline void add_modelopt(FileBuilder& builder, const std::string& module, const Layer& layer) {
  builder.add(module + ".weight", "U8", layer.shape(), layer.packed);
  builder.add(module + ".weight_scale", "F8_E4M3", layer.scale_shape(), layer.codes);
  builder.add(module + ".weight_scale_2", "F32", "[]", bytes_of<float>({layer.global}));
}

inline reset::QuantizationConfig config_of(const std::string& value) {
  return reset::QuantizationConfig::parse("{\"quantization_config\":" + value + "}", "config.json");
}

// A checkpoint of one file that lies in memory.
class MemoryCheckpoint {
 public:
  MemoryCheckpoint(const std::string& file, reset::QuantizationConfig config = {})
      : bytes_(exact_copy(file)),
        checkpoint_({std::make_shared<const reset::SafetensorsView>(bytes_.get(), file.size(), "m.safetensors")},
                    std::move(config)) {}

  const reset::Checkpoint* operator->() const { return &checkpoint_; }

 private:
  std::unique_ptr<char[]> bytes_;
  reset::Checkpoint checkpoint_;
};

}  // namespace io_test
