// Writes solutions to a trace, for a calibration to read: examples/traces/answer.hpp has the format.
#pragma once

#include <cstdint>
#include <string>

#include "countdown.hpp"
#include "solver.hpp"
#include "trace.hpp"
#include "trace_file.hpp"

namespace reasoner {

class Recorder {
 public:
  // Throws reset::Error if the file exists or cannot be written.
  Recorder(std::string path, std::string model);

  void add(const Policy& policy, const Problem& problem, std::uint64_t seed, const Solution& solution);
  // To be called last. Throws reset::Error if anything could not be written.
  void close() { file_.close(); }

 private:
  traces::TraceFile file_;
  std::string model_;
};

}  // namespace reasoner
