#include <string>

#include <reset/status.hpp>

#include "gpu.hpp"

namespace generate {

bool gpu_serves(std::int32_t) { return false; }

engine::ModelConfig published_config(const std::string&) {
  throw reset::Error("--random-weights is given to a build without CUDA, expected --model");
}

ChosenGenerator make_random_generator(const engine::ModelConfig&, const reset::TokenSetTable&,
                                      const engine::GeneratorOptions&, bool) {
  throw reset::Error("--random-weights is given to a build without CUDA, expected --model");
}

ChosenGenerator make_gpu_generator(const engine::Weights&, const reset::TokenSetTable&,
                                   const engine::GeneratorOptions&) {
  throw reset::Error("this build was made without CUDA, expected cpu");
}

}  // namespace generate
