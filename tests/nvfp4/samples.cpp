#include "nvfp4/samples.hpp"

#include <cstdio>
#include <stdexcept>

#include <reset/detail/rounding.hpp>

std::vector<float> samples::real_weights() {
  std::vector<std::uint8_t> bytes(85 * 384 * 2);
  std::FILE* file = std::fopen(RESET_NVFP4_TEST_DATA "/weights_85x384.bf16", "rb");
  const std::size_t count = file == nullptr ? 0 : std::fread(bytes.data(), 1, bytes.size(), file);
  if (file != nullptr) std::fclose(file);
  if (count != bytes.size()) throw std::runtime_error("cannot read " RESET_NVFP4_TEST_DATA "/weights_85x384.bf16");
  std::vector<float> values;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    const std::uint32_t bits = bytes[i] | static_cast<std::uint32_t>(bytes[i + 1]) << 8;
    values.push_back(reset::detail::float_from_bits(bits << 16));
  }
  return values;
}
