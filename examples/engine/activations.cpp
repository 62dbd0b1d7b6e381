#include "activations.hpp"

#include <algorithm>

#include <reset/detail/rounding.hpp>
#include <reset/nvfp4/e2m1.hpp>
#include <reset/nvfp4/e4m3.hpp>
#include <reset/nvfp4/layout.hpp>
#include <reset/nvfp4/quantize.hpp>

namespace engine {
namespace {

void round_block(const float* x, reset::GlobalScale scale, float* out) {
  const reset::Nvfp4Block block = reset::RoundToNearest()(x, scale);
  const double factor = static_cast<double>(reset::e4m3_to_float(block.scale)) * static_cast<double>(scale.value);
  for (std::int64_t k = 0; k < reset::kNvfp4BlockSize; ++k) {
    const auto code = static_cast<std::uint8_t>(block.packed[reset::nibble_byte(k)] >> reset::nibble_shift(k) & 15);
    out[k] = static_cast<float>(static_cast<double>(reset::e2m1_to_float(code)) * factor);
  }
}

}  // namespace

reset::GlobalScale shared_input_scale(std::initializer_list<const Linear*> layers) {
  float largest = 0;
  for (const Linear* layer : layers) {
    if (layer->is_nvfp4()) largest = std::max(largest, layer->input_scale()->value);
  }
  return {largest};
}

void round_to_nvfp4(const float* x, std::int64_t count, reset::GlobalScale scale, float* out) {
  if (!std::all_of(x, x + count, [](float value) { return reset::detail::is_finite(value); })) {
    std::copy_n(x, count, out);
    return;
  }
  for (std::int64_t k = 0; k < count; k += reset::kNvfp4BlockSize) round_block(x + k, scale, out + k);
}

}  // namespace engine
