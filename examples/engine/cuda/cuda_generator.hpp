// The generator of a GPU.
#pragma once

#include <memory>

#include <reset/sampler/boundary/token_set.hpp>

#include "device_weights.hpp"
#include "generator.hpp"

namespace engine::cuda {

// Throws reset::Error, in one sentence, where there is no GPU that the engine can use.
void require_gpu();

// On the current device, up to 16 slots, a captured graph a step. `weights` must outlive the generator. `pinned`: what
// a slot gives does not depend on how many there are. Throws reset::Error for what the device or the kernels cannot do.
std::unique_ptr<Generator> make_cuda_generator(const DeviceWeights& weights, const reset::TokenSetTable& boundaries,
                                               const GeneratorOptions& options, bool pinned = false);

}  // namespace engine::cuda
