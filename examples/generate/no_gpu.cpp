#include <reset/status.hpp>

#include "gpu.hpp"

namespace generate {

bool gpu_is_there() { return false; }

ChosenGenerator make_gpu_generator(const engine::Weights&, const reset::TokenSetTable&,
                                   const engine::GeneratorOptions&) {
  throw reset::Error("--device is cuda, which this build was made without, expected cpu");
}

}  // namespace generate
