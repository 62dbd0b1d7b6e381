// The flags that Google Benchmark does not know.
#pragma once

#include <cstring>
#include <string>

namespace bench {

struct Options {
  bool baselines = true;           // --no-baselines: no cuBLAS
  std::string results;             // --results=FOLDER: write the JSON files there
  std::string commit = "unknown";  // --commit=HASH
  std::string command;             // the command line as it was
};

// Takes our flags out of the arguments.
inline Options take_options(int& argc, char** argv) {
  Options options;
  int kept = 1;
  const char* slash = std::strrchr(argv[0], '/');
  options.command = slash == nullptr ? argv[0] : slash + 1;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    // Where the results go is no part of what was measured.
    if (argument.rfind("--results=", 0) != 0) options.command += " " + argument;
    if (argument == "--no-baselines") {
      options.baselines = false;
    } else if (argument.rfind("--results=", 0) == 0) {
      options.results = argument.substr(10);
    } else if (argument.rfind("--commit=", 0) == 0) {
      options.commit = argument.substr(9);
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
  return options;
}

}  // namespace bench
