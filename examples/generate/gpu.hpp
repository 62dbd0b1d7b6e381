// The GPU of this program, in one of two files: gpu.cpp where the build has CUDA, no_gpu.cpp where it has not.
#pragma once

#include <cstdint>
#include <string>

#include <reset/sampler/boundary/token_set.hpp>

#include "config.hpp"
#include "generator.hpp"
#include "make_generator.hpp"
#include "weights.hpp"

namespace generate {

// Whether there is a GPU that the engine runs on, with as many slots.
bool gpu_serves(std::int32_t slots);

// The shapes of a published model. Throws reset::Error, one sentence, for other names or without CUDA.
engine::ModelConfig published_config(const std::string& name);

// Random weights in such shapes are made on the device, for timing, all in NVFP4 or all but the head; else as below.
ChosenGenerator make_random_generator(const engine::ModelConfig& config, const reset::TokenSetTable& boundaries,
                                      const engine::GeneratorOptions& sizes, bool nvfp4_head);

// The weights go to the device, and stay as long as the result. Throws reset::Error, one sentence, if there is no GPU,
// or the model, the batch or the context is none for it.
ChosenGenerator make_gpu_generator(const engine::Weights& weights, const reset::TokenSetTable& boundaries,
                                   const engine::GeneratorOptions& sizes);

}  // namespace generate
