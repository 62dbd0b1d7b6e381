// What goes into the linear layers: NVFP4 activations as the CPU has them, and the maxima that their scales come from.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>

#include <reset/nvfp4/matrix.hpp>

#include "linear.hpp"

namespace engine {

enum class Activations {
  kFull,   // as they are, in float32
  kNvfp4,  // the input of every NVFP4 layer rounded to NVFP4: W4A4
};

// The largest magnitude that went into each linear layer, by the layer's name.
using InputMaxima = std::map<std::string, float>;

// The global scale for an input that `layers` share: the largest of theirs, so that none of their ranges is clipped.
// Each NVFP4 layer among them must have an input scale, and one of them must be NVFP4.
reset::GlobalScale shared_input_scale(std::initializer_list<const Linear*> layers);

// out = x (`count` values, a multiple of 16) rounded to NVFP4 by the rule that the device's quantisers follow, and read
// back. A row that is not finite is copied instead: the logits are to tell of it.
void round_to_nvfp4(const float* x, std::int64_t count, reset::GlobalScale scale, float* out);

}  // namespace engine
