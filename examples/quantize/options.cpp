#include "options.hpp"

#include <algorithm>

#include <reset/status.hpp>

#include "arguments.hpp"

namespace quantize {

const char* usage() {
  return "usage: quantize IN OUT [--rule RULE] [--format FORMAT] [--exclude PATTERN]... [--head TYPE] [--input-scales "
         "FILE]\n"
         "\n"
         "Writes the checkpoint IN with its linear layers in NVFP4 to the new directory OUT.\n"
         "\n"
         "  IN                 a checkpoint directory or one .safetensors file: BF16, FP16 or FP32\n"
         "  OUT                a directory that does not exist yet, or is empty\n"
         "  --rule RULE        round-to-nearest (default), four-over-six or scale-sweep\n"
         "  --format FORMAT    modelopt (default) or compressed-tensors\n"
         "  --exclude PATTERN  leave these layers as they are, too ('*' stands for any characters);\n"
         "                     *embed*, *wte, *wpe and *.gate always are\n"
         "  --head TYPE        bf16 (default): *lm_head stays as it is; or nvfp4: it does not\n"
         "  --input-scales FILE  write these global scales of the activations, too: a JSON object of numbers by "
         "layer,\n"
         "                     as the generate example records it\n";
}

Options parse_options(const std::vector<std::string>& arguments) {
  Options options;
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const auto value = [&] {
      if (i + 1 == arguments.size()) throw reset::Error(argument + " is the last argument, expected a value after it");
      return arguments[++i];
    };
    if (argument == "--help" || argument == "-h") {
      options.help = true;
      return options;
    }
    if (argument == "--rule") {
      options.rule = console::choose<Rule>(argument, value(),
                                           {{"round-to-nearest", Rule::kRoundToNearest},
                                            {"four-over-six", Rule::kFourOverSix},
                                            {"scale-sweep", Rule::kScaleSweep}});
    } else if (argument == "--format") {
      options.format = console::choose<Format>(
          argument, value(), {{"modelopt", Format::kModelOpt}, {"compressed-tensors", Format::kCompressedTensors}});
    } else if (argument == "--exclude") {
      options.exclude.push_back(value());
    } else if (argument == "--head") {
      options.nvfp4_head = console::choose<bool>(argument, value(), {{"bf16", false}, {"nvfp4", true}});
    } else if (argument == "--input-scales") {
      options.input_scales = value();
    } else if (argument.size() > 1 && argument.front() == '-') {
      throw reset::Error("option is \"" + argument + "\", expected --rule, --format, --exclude, --head or " +
                         "--input-scales");
    } else {
      paths.push_back(argument);
    }
  }
  if (paths.size() != 2) {
    throw reset::Error("the command line names " + std::to_string(paths.size()) + " paths, expected IN and OUT");
  }
  if (options.nvfp4_head) options.exclude.erase(std::find(options.exclude.begin(), options.exclude.end(), kHead));
  options.input = paths[0];
  options.output = paths[1];
  return options;
}

bool matches(const std::string& pattern, const std::string& name) {
  // The greedy match with one point to go back to: the last star. Linear but for repeats, whatever the pattern.
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string::npos;
  std::size_t after_star = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      after_star = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string::npos) {
      p = star + 1;
      n = ++after_star;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace quantize
