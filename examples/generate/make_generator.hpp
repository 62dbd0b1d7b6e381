// Chooses where the model runs: the one place of this example that knows the engines.
#pragma once

#include <memory>
#include <string>

#include <reset/sampler/boundary/token_set.hpp>

#include "generator.hpp"
#include "model.hpp"
#include "options.hpp"
#include "weights.hpp"

namespace generate {

struct ChosenGenerator {
  std::shared_ptr<const void> keeps;  // what the generator needs besides the weights, if anything
  std::unique_ptr<engine::Generator> generator;
  std::string device;  // for the user: "CPU, 4 threads"
};

// `model` must outlive the generator, and so must `maxima`, which may be null (see make_host_generator). Throws
// reset::Error, one sentence, if the device is not there or lacks the memory.
ChosenGenerator make_generator(const Options& options, const Model& model, reset::TokenSetTable boundaries,
                               const engine::GeneratorOptions& sizes, engine::InputMaxima* maxima);

}  // namespace generate
