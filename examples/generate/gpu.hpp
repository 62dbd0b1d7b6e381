// The GPU of this program, in one of two files: gpu.cpp where the build has CUDA, no_gpu.cpp where it has not.
#pragma once

#include <reset/sampler/boundary/token_set.hpp>

#include "generator.hpp"
#include "make_generator.hpp"
#include "weights.hpp"

namespace generate {

// Whether make_gpu_generator has something to run on.
bool gpu_is_there();

// The weights go to the device, and stay as long as the result. Throws reset::Error, one sentence, if there is no GPU,
// or the model, the batch or the context is none for it.
ChosenGenerator make_gpu_generator(const engine::Weights& weights, const reset::TokenSetTable& boundaries,
                                   const engine::GeneratorOptions& sizes);

}  // namespace generate
