// Sequences that grow side by side, each in a slot of its own: what the CPU engine and a GPU's have in common.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <reset/sampler/boundary/token_set.hpp>
#include <reset/sampler/sampler_types.hpp>

#include "activations.hpp"
#include "weights.hpp"

namespace engine {

struct GeneratedToken {
  std::int32_t slot = 0;
  reset::SampledToken sampled;
  bool last = false;  // end of text, or the slot is full: prompt and earlier tokens leave no room to read this one
};

class Generator {
 public:
  virtual ~Generator() = default;

  // Begins a sequence in `slot` (what was there is forgotten): reads the prompt; the first token comes with the next
  // advance(). request.first_position is set by the generator. Throws reset::Error for a slot, a prompt or a request
  // that it cannot take; the slot is empty then.
  virtual void begin(std::int32_t slot, const std::vector<std::int32_t>& prompt,
                     const reset::RequestParams& request) = 0;

  // Ends a slot early.
  virtual void end(std::int32_t slot) = 0;

  // Appends what running slots have given since the last call, at least a token of each (in order within a slot);
  // nothing if none runs.
  virtual void advance(std::vector<GeneratedToken>& tokens) = 0;
};

struct GeneratorOptions {
  std::int32_t slots = 1;
  std::int64_t context = 0;  // tokens a slot can hold; 0: the model's most
  Activations activations = Activations::kFull;
  std::int32_t sampled_columns = 0;  // tokens that can be drawn, from 0 on; 0: the whole vocabulary
};

// On the CPU, each layer's rows shared by `threads`. `weights` must outlive the generator, and so must `maxima`, which
// receives the largest magnitude that went into each layer, if it is not null. Throws reset::Error for options outside
// their domain and for NVFP4 activations of a checkpoint without input scales.
std::unique_ptr<Generator> make_host_generator(const Weights& weights, reset::TokenSetTable boundaries,
                                               const GeneratorOptions& options, int threads,
                                               InputMaxima* maxima = nullptr);

}  // namespace engine
