// The command line of the reasoner.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "terminal.hpp"

namespace reasoner {

struct Options {
  std::string model;     // checkpoint directory
  std::string problems;  // a file of problems, or one problem "a,b,c:target"
  std::int64_t count = 4;
  std::uint64_t seed = 1;
  std::optional<float> temperature;  // ReSET off, every token at this temperature
  float tau0 = 0.6768F;
  float t_low = 0.1F;
  std::int64_t evaluate = 0;  // problems to evaluate quietly; 0: show `count` problems instead
  std::string trace;          // a new file for what is evaluated; empty: none
  console::Terminal::Use colour = console::Terminal::Use::kAutomatic;
  bool help = false;
};

// `defaults` holds the paths that were compiled in. Throws reset::Error naming the argument and what was expected.
Options parse_options(const std::vector<std::string>& arguments, Options defaults);

const char* usage();

}  // namespace reasoner
