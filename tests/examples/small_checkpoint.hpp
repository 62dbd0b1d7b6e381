// Small checkpoints of random weights for the quantise tool to read.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include <reset/io/safetensors_writer.hpp>

namespace testing {

// Random values that BF16 and FP16 hold exactly (eight bits of significand, exponents -12..0), so that one set of
// values can be written in all three types. The first is the largest, 12, for which every rule's global scale survives
// being stored as its reciprocal, so that both formats hold the same numbers.
inline std::vector<float> random_weights(std::int64_t count, std::uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) {
    const auto bits = static_cast<std::uint32_t>(generator());
    const auto mantissa = static_cast<float>(128 + bits % 128) / 128.0F;
    const auto exponent = static_cast<int>(bits >> 8) % 13;
    value = std::ldexp((bits & 0x80U) != 0 ? -mantissa : mantissa, exponent - 12);
  }
  if (!values.empty()) values.front() = 12.0F;
  return values;
}

inline std::uint16_t half_bits(float value) {  // of the values above only: normal and exact
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const std::uint32_t exponent = (bits >> 23 & 0xFF) - 127 + 15;
  return static_cast<std::uint16_t>(bits >> 31 << 15 | exponent << 10 | (bits & 0x7FFFFF) >> 13);
}

inline std::vector<std::uint8_t> encode(const std::vector<float>& values, reset::DType dtype) {
  std::vector<std::uint8_t> bytes(values.size() * reset::dtype_size(dtype));
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, &values[i], sizeof bits);
    const std::uint16_t half =
        dtype == reset::DType::kF16 ? half_bits(values[i]) : static_cast<std::uint16_t>(bits >> 16);
    if (dtype == reset::DType::kF32)
      std::memcpy(&bytes[i * 4], &bits, sizeof bits);
    else
      std::memcpy(&bytes[i * 2], &half, sizeof half);
  }
  return bytes;
}

struct SmallTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

inline void write_file(const std::filesystem::path& path, const std::vector<SmallTensor>& tensors, reset::DType dtype) {
  std::vector<reset::TensorSpec> specs;
  for (const SmallTensor& tensor : tensors) specs.push_back({tensor.name, dtype, tensor.shape});
  reset::SafetensorsWriter writer(path.string(), specs, {{"format", "pt"}});
  for (const SmallTensor& tensor : tensors) {
    const auto bytes = encode(tensor.values, dtype);
    writer.append(tensor.name, bytes.data(), bytes.size());
  }
  writer.finish();
}

inline void write_text(const std::filesystem::path& path, const std::string& text) { std::ofstream(path) << text; }

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The tensors of a tiny model: some to quantise, some to keep for each of the reasons.
inline std::vector<SmallTensor> tiny_model() {
  const auto tensor = [](std::string name, std::vector<std::int64_t> shape, std::uint32_t seed) {
    std::int64_t count = 1;
    for (const std::int64_t extent : shape) count *= extent;
    return SmallTensor{std::move(name), std::move(shape), random_weights(count, seed)};
  };
  return {tensor("model.embed_tokens.weight", {32, 64}, 1),
          tensor("model.layers.0.mlp.up_proj.weight", {48, 64}, 2),
          tensor("model.layers.0.mlp.down_proj.weight", {64, 48}, 3),
          tensor("model.layers.0.self_attn.q_proj.weight", {7, 16}, 4),
          tensor("model.layers.0.self_attn.q_proj.bias", {7}, 5),
          tensor("model.layers.0.odd.weight", {8, 20}, 6),
          tensor("model.layers.0.input_layernorm.weight", {64}, 7),
          tensor("lm_head.weight", {32, 64}, 8)};
}

}  // namespace testing
