#include "trace_file.hpp"

#include <filesystem>
#include <utility>

#include <reset/status.hpp>

namespace traces {

TraceFile::TraceFile(std::string path) : path_(std::move(path)) {
  if (std::filesystem::exists(path_)) throw reset::Error("--trace is " + path_ + ", which exists, expected a new file");
  file_.open(path_);
  if (!file_) throw reset::Error("--trace is " + path_ + ", which cannot be written, expected a folder that can");
}

void TraceFile::add(const Answer& answer) { file_ << to_line(answer) << '\n'; }

void TraceFile::close() {
  file_.close();
  if (!file_) throw reset::Error("--trace is " + path_ + ", which cannot be written to its end, expected enough space");
}

}  // namespace traces
