// calibrate TRACE...: chooses ReSET's parameters for each model and task from recorded and graded answers.
//
//   cmake --build build/test --target calibrate && build/test/examples/calibrate/calibrate trace.jsonl --output
//   tau0.json

#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <reset/status.hpp>

#include "choice.hpp"
#include "options.hpp"
#include "report.hpp"
#include "study.hpp"

namespace {

void require_new(const std::string& path) {
  if (std::filesystem::exists(path)) throw reset::Error("--output is " + path + ", which exists, expected a new file");
}

void write(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file)
    throw reset::Error("--output is " + path + ", which cannot be written, expected a file in a folder that can");
}

void run(const calibrate::Options& options) {
  if (!options.output.empty()) require_new(options.output);
  const std::vector<traces::Answer> answers = traces::read_traces(options.traces);
  if (answers.empty()) throw reset::Error("the traces hold 0 answers, expected some");
  const std::vector<calibrate::Study> studies = calibrate::make_studies(answers, options.held_out);
  std::vector<calibrate::Choice> choices;
  for (const calibrate::Study& study : studies) {
    choices.push_back(calibrate::choose(study));
    std::fputs(calibrate::report(study, choices.back()).c_str(), stdout);
  }
  if (!options.output.empty()) write(options.output, calibrate::to_json(studies, choices));
}

}  // namespace

// Exit code 2: the command line or a trace is not what it should be.
int main(int argc, char** argv) {
  try {
    const calibrate::Options options = calibrate::parse_options(std::vector<std::string>(argv + 1, argv + argc));
    if (options.help) {
      std::fputs(calibrate::usage(), stdout);
      return 0;
    }
    run(options);
    return 0;
  } catch (const reset::Error& error) {
    std::fprintf(stderr, "calibrate: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "calibrate: %s\n", error.what());
    return 1;
  }
}
