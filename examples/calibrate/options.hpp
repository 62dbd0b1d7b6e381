// The command line of the calibration tool.
#pragma once

#include <string>
#include <vector>

namespace calibrate {

struct Options {
  std::vector<std::string> traces;
  std::string output;     // empty: print only
  double held_out = 0.5;  // share of the problems
  bool help = false;
};

// Throws reset::Error naming the argument and what was expected.
Options parse_options(const std::vector<std::string>& arguments);

const char* usage();

}  // namespace calibrate
