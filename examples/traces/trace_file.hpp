// A trace on its way to the disk.
#pragma once

#include <fstream>
#include <string>

#include "answer.hpp"

namespace traces {

class TraceFile {
 public:
  // Throws reset::Error, which calls it --trace, if the file exists or cannot be written.
  explicit TraceFile(std::string path);

  void add(const Answer& answer);
  // To be called last. Throws reset::Error if anything could not be written.
  void close();

 private:
  std::string path_;
  std::ofstream file_;
};

}  // namespace traces
