// What is generated with: a checkpoint, or the shapes of one.
#pragma once

#include <memory>
#include <string>

#include <reset/sampler/boundary/vocabulary.hpp>

#include "config.hpp"
#include "options.hpp"
#include "prompt.hpp"
#include "weights.hpp"

namespace generate {

struct Model {
  std::string name;                          // of the folder, or of the shapes
  std::string description;                   // for the user
  std::unique_ptr<engine::Weights> weights;  // null: random ones, which are made on the GPU
  engine::ModelConfig config;
  reset::Vocabulary vocabulary;  // as wide as the logits
  Prompt prompt;
};

// The checkpoint, or the shapes, that the options name, and their prompt. Without a tokenizer tokens are shown as
// numbers, and the prompt is some 512 of them if there is none. Throws reset::Error for what cannot be read.
Model read_model(const Options& options);

}  // namespace generate
