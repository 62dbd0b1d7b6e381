// What the programs that measure the engine take from their command lines.
#pragma once

#include <cstring>
#include <sstream>
#include <string>
#include <vector>

namespace bench {

// The parts between commas.
inline std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

// The value of --name=value, or `otherwise`.
inline std::string take_flag(int argc, char** argv, const std::string& name, const std::string& otherwise) {
  const std::string prefix = "--" + name + "=";
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], prefix.c_str(), prefix.size()) == 0) return argv[i] + prefix.size();
  }
  return otherwise;
}

}  // namespace bench
