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

// What a slot is to go on from.
struct Prompt {
  std::int32_t slot = 0;
  std::vector<std::int32_t> tokens;
  reset::RequestParams request;  // first_position is set by who reads the prompt
};

struct GeneratedToken {
  std::int32_t slot = 0;
  reset::SampledToken sampled;
  // End of text, or the slot is full (prompt and earlier tokens leave no room to read this one), or `stopped`.
  bool last = false;
  bool stopped = false;  // the request's early_stop had raised its flag, and nothing else ended the slot
};

class Generator {
 public:
  virtual ~Generator() = default;

  // Begins sequences, each in a slot of its own (what was there is forgotten): reads the prompts, together where that
  // takes less time; the first tokens come with the next advance(). Throws reset::Error for a slot that it does not
  // have or has been given twice, and nothing changes; and for a prompt or a request that it cannot take: none of them
  // begins then, and their slots are empty.
  virtual void begin(const std::vector<Prompt>& prompts) = 0;
  void begin(std::int32_t slot, const std::vector<std::int32_t>& prompt, const reset::RequestParams& request) {
    begin({{slot, prompt, request}});
  }

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

// Throws reset::Error unless every prompt has one of `slots` slots for itself.
void check_slots(const std::vector<Prompt>& prompts, std::int32_t slots);

// A token as its slot gives it; `full`: the slot has no room to read it.
GeneratedToken generated_token(std::int32_t slot, const reset::SampledToken& sampled, const ModelConfig& config,
                               bool full);

}  // namespace engine
