// The command line of the generate example.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "activations.hpp"
#include "terminal.hpp"

namespace generate {

// Where the model runs.
enum class Device {
  kAutomatic,  // on the GPU if this build can and there is one, else on the CPU
  kCpu,
  kCuda,
};

struct Options {
  std::string model;               // checkpoint directory
  std::string random_weights;      // or a published model whose shapes are filled with random numbers
  std::optional<bool> nvfp4_head;  // of those; else it is BF16
  std::optional<std::string> prompt;
  std::string prompt_file;
  std::vector<std::int32_t> prompt_tokens;
  Device device = Device::kAutomatic;
  engine::Activations activations = engine::Activations::kFull;
  std::int32_t batch = 1;  // sequences, all of the same prompt, with the seeds `seed`, `seed` + 1, ...
  std::uint64_t seed = 1;
  std::int64_t max_tokens = 4096;  // of each sequence, where the model has room for as many
  bool reset = true;
  std::optional<float> temperature;  // without ReSET
  std::optional<float> tau0;         // else the published one of the model, if there is one
  std::optional<float> t_low;
  float top_p = 0.95F;
  std::int32_t top_k = 0;
  std::int32_t early_stop = 0;  // steps in a row without progress that end a sequence; 0: as many as there are
  std::string trace;            // a new file for what was generated; empty: none
  std::string input_scales;  // a new file for the scales of NVFP4 activations, as this run would need them; empty: none
  console::Terminal::Use colour = console::Terminal::Use::kAutomatic;
  bool help = false;
};

// Throws reset::Error naming the argument and what was expected.
Options parse_options(const std::vector<std::string>& arguments);

const char* usage();

}  // namespace generate
