#include <reset/status.hpp>

#include "gpu.hpp"

namespace generate {

bool gpu_serves(std::int32_t) { return false; }

ChosenGenerator make_gpu_generator(const engine::Weights&, const reset::TokenSetTable&,
                                   const engine::GeneratorOptions&) {
  throw reset::Error("this build was made without CUDA, expected cpu");
}

}  // namespace generate
