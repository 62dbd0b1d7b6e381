// Runs a program as a user would, and a folder to run it in.
#pragma once

#include <pty.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace testing {

struct Outcome {
  int exit_code = -1;       // -1: killed by a signal
  std::string output;       // standard output and standard error, as they came
  long peak_kilobytes = 0;  // largest resident set
};

enum class Stream { kPipe, kTerminal };

// `environment` holds further variables, as in "NO_COLOR=1"; the output goes to a pipe or to a terminal of its own.
inline Outcome run(std::vector<std::string> command, const std::vector<std::string>& environment = {},
                   Stream stream = Stream::kPipe) {
  int ends[2] = {-1, -1};
  if (stream == Stream::kPipe && pipe(ends) != 0) std::abort();
  const pid_t child = stream == Stream::kPipe ? fork() : forkpty(&ends[0], nullptr, nullptr, nullptr);
  if (child == 0) {
    if (stream == Stream::kPipe) {
      dup2(ends[1], STDOUT_FILENO);
      dup2(ends[1], STDERR_FILENO);
      close(ends[0]);
      close(ends[1]);
    }
    for (const std::string& variable : environment) putenv(const_cast<char*>(variable.c_str()));
    std::vector<char*> arguments;
    for (std::string& argument : command) arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  if (stream == Stream::kPipe) close(ends[1]);
  Outcome outcome;
  char buffer[4096];
  for (ssize_t count; (count = read(ends[0], buffer, sizeof buffer)) > 0;) {
    outcome.output.append(buffer, static_cast<std::size_t>(count));
  }
  close(ends[0]);
  int status = 0;
  rusage usage = {};
  wait4(child, &status, 0, &usage);
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  outcome.peak_kilobytes = usage.ru_maxrss;
  return outcome;
}

// A new folder that disappears with its contents.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "reset-examples-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace testing
