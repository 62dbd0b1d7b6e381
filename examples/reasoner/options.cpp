#include "options.hpp"

#include <utility>

#include <reset/status.hpp>

#include "arguments.hpp"

namespace reasoner {

const char* usage() {
  return "usage: reasoner [options]\n"
         "\n"
         "Solves Countdown problems step by step on the CPU with an NVFP4 model and ReSET.\n"
         "\n"
         "  --model DIR        checkpoint directory (default: the one that comes with this example)\n"
         "  --problems WHAT    a file, one problem a line, or one problem, as in \"47,8,41:48\"\n"
         "                     (default: the held-out problems that come with this example)\n"
         "  --count N          how many problems to solve (default 4)\n"
         "  --seed N           of the random numbers (default 1)\n"
         "  --tau0 X           ReSET's threshold on the entropy of a confident step, in nats (default 0.6768)\n"
         "  --t-low X          temperature below the threshold (default 0.1; above it is 1)\n"
         "  --temperature T    switch ReSET off and sample every token at T\n"
         "  --evaluate N       solve N problems quietly, once at one temperature (0.6, or that of --temperature) and\n"
         "                     once with ReSET, and compare\n"
         "  --trace FILE       write every answer of the evaluation to a new file, for the calibration tool\n"
         "  --color            colours even where the output is no terminal\n"
         "  --no-color         no colours\n";
}

Options parse_options(const std::vector<std::string>& arguments, Options defaults) {
  constexpr std::int64_t kMany = 1000000;
  Options options = std::move(defaults);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& option = arguments[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 == arguments.size()) throw reset::Error(option + " is the last argument, expected a value after it");
      return arguments[++i];
    };
    if (option == "--help" || option == "-h")
      options.help = true;
    else if (option == "--model")
      options.model = value();
    else if (option == "--problems")
      options.problems = value();
    else if (option == "--count")
      options.count = console::to_integer(option, value(), 1, kMany);
    else if (option == "--evaluate")
      options.evaluate = console::to_integer(option, value(), 1, kMany);
    else if (option == "--seed")
      options.seed = static_cast<std::uint64_t>(console::to_integer(option, value(), 0, INT64_MAX));
    else if (option == "--tau0")
      options.tau0 = console::to_real(option, value(), 0.0F, 100.0F);
    else if (option == "--t-low")
      options.t_low = console::to_real(option, value(), 0.0F, 100.0F);
    else if (option == "--temperature")
      options.temperature = console::to_real(option, value(), 0.0F, 100.0F);
    else if (option == "--trace")
      options.trace = value();
    else if (option == "--color")
      options.colour = console::Terminal::Use::kAlways;
    else if (option == "--no-color")
      options.colour = console::Terminal::Use::kNever;
    else
      throw reset::Error("argument is \"" + option + "\", expected an option that --help lists");
  }
  if (!options.trace.empty() && options.evaluate == 0) {
    throw reset::Error("--trace is " + options.trace + " without --evaluate, expected answers to record");
  }
  return options;
}

}  // namespace reasoner
