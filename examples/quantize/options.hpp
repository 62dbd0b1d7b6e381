// The command line of the quantise tool.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <reset/io/convention.hpp>

namespace quantize {

enum class Rule { kRoundToNearest, kFourOverSix, kScaleSweep };
enum class Format { kModelOpt, kCompressedTensors };

// The output layer under its usual names.
inline constexpr const char* kHead = "*lm_head";

struct Options {
  std::filesystem::path input;
  std::filesystem::path output;
  Rule rule = Rule::kRoundToNearest;
  Format format = Format::kModelOpt;
  // Layers whose name matches one of these stay as they are; '*' stands for any characters. These are the tables of
  // embeddings under their usual names, the output layer, and the routers of mixtures of experts.
  std::vector<std::string> exclude = {"*embed*", kHead, "*wte", "*wpe", "*.gate"};
  bool nvfp4_head = false;             // the output layer does not stay as it is
  std::filesystem::path input_scales;  // a JSON file of scales for the activations; empty: none are written
  bool help = false;
};

inline reset::CheckpointConvention convention_of(Format format) {
  return format == Format::kModelOpt ? reset::CheckpointConvention::kModelOpt
                                     : reset::CheckpointConvention::kCompressedTensors;
}

// Throws reset::Error naming the argument and what was expected.
Options parse_options(const std::vector<std::string>& arguments);

const char* usage();

// Whether `pattern`, in which '*' stands for any characters, matches all of `name`.
bool matches(const std::string& pattern, const std::string& name);

}  // namespace quantize
