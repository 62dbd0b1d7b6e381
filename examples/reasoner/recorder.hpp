// Writes solutions to a trace, for a calibration to read: examples/traces/answer.hpp has the format.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>

#include "countdown.hpp"
#include "solver.hpp"
#include "trace.hpp"

namespace reasoner {

class Recorder {
 public:
  // Throws reset::Error if the file exists or cannot be written.
  Recorder(std::string path, std::string model);

  void add(const Policy& policy, const Problem& problem, std::uint64_t seed, const Solution& solution);
  // To be called last. Throws reset::Error if anything could not be written.
  void close();

 private:
  std::string path_;
  std::string model_;
  std::ofstream file_;
};

}  // namespace reasoner
