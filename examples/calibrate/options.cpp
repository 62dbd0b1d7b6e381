#include "options.hpp"

#include <cstdlib>

#include <reset/status.hpp>

namespace calibrate {
namespace {

// Refuses what is not a number by its spelling: under -ffast-math a NaN cannot be told by comparing.
double to_share(const std::string& option, const std::string& text) {
  char* end = nullptr;
  const bool spelled = !text.empty() && text.find_first_not_of("0123456789.eE-+") == std::string::npos;
  const double value = spelled ? std::strtod(text.c_str(), &end) : 0.0;
  if (!spelled || *end != '\0' || value <= 0.0 || value >= 1.0) {
    throw reset::Error(option + " is \"" + text + "\", expected a number between 0 and 1");
  }
  return value;
}

}  // namespace

const char* usage() {
  return "usage: calibrate TRACE... [--held-out SHARE] [--output FILE]\n"
         "\n"
         "Chooses ReSET's parameters, for each model and task, among the settings that recorded answers were sampled\n"
         "with: by their accuracy on one part of the problems, reported on the other.\n"
         "\n"
         "  TRACE              files of JSON lines, one graded answer a line (examples/traces/answer.hpp)\n"
         "  --held-out SHARE   share of the problems that the choice does not see (default 0.5)\n"
         "  --output FILE      a new file for the chosen parameters, as JSON\n";
}

Options parse_options(const std::vector<std::string>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 == arguments.size()) throw reset::Error(argument + " is the last argument, expected a value after it");
      return arguments[++i];
    };
    if (argument == "--help" || argument == "-h") {
      options.help = true;
      return options;
    }
    if (argument == "--held-out") {
      options.held_out = to_share(argument, value());
    } else if (argument == "--output") {
      options.output = value();
    } else if (argument.size() > 1 && argument.front() == '-') {
      throw reset::Error("option is \"" + argument + "\", expected --held-out or --output");
    } else {
      options.traces.push_back(argument);
    }
  }
  if (options.traces.empty()) throw reset::Error("the command line names no TRACE, expected at least one file");
  return options;
}

}  // namespace calibrate
