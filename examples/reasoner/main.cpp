// A small reasoning model, stored as an NVFP4 checkpoint, solves Countdown problems step by step on the CPU through the
// library's format, mat-vec and sampler, and shows what ReSET did.
//
//   cmake --workflow --preset demo

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <reset/io/tokenizer.hpp>
#include <reset/status.hpp>

#include "countdown.hpp"
#include "display.hpp"
#include "evaluate.hpp"
#include "options.hpp"
#include "recorder.hpp"
#include "solver.hpp"
#include "terminal.hpp"
#include "weights.hpp"

namespace {

using namespace reasoner;

// The first `count` problems of a file, or the one that is spelled out.
std::vector<Problem> select_problems(const std::string& what, std::int64_t count) {
  const bool spelled = what.find(':') != std::string::npos && !std::filesystem::exists(what);
  std::vector<Problem> problems = spelled ? std::vector<Problem>{parse_problem(what)} : read_problems(what);
  problems.resize(std::min(problems.size(), static_cast<std::size_t>(count)));
  return problems;
}

Policy make_policy(const Options& options) {
  Policy policy;
  policy.params.tau0 = options.tau0;
  policy.params.t_low = options.t_low;
  policy.reset = !options.temperature.has_value();
  policy.temperature = options.temperature.value_or(policy.temperature);
  return policy;
}

// What a checkpoint directory is called.
std::string name_of(const std::string& directory) { return std::filesystem::canonical(directory).filename().string(); }

std::string describe_model(const engine::Weights& weights) {
  char text[160];
  std::snprintf(text, sizeof text, "Qwen3 architecture, %lld layers, %.1f M weights in %s",
                static_cast<long long>(weights.config.layers), static_cast<double>(weights.parameters()) / 1e6,
                weights.has_nvfp4() ? "NVFP4" : "16 or 32 bits");
  return text;
}

std::string describe_policy(const Policy& policy) {
  char text[160];
  const double top_p = static_cast<double>(policy.top_p);
  if (policy.reset) {
    std::snprintf(text, sizeof text, "ReSET, tau_0 = %g nats, window %d, top-p %g",
                  static_cast<double>(policy.params.tau0), policy.params.window, top_p);
  } else {
    std::snprintf(text, sizeof text, "T = %g for every token, top-p %g", static_cast<double>(policy.temperature),
                  top_p);
  }
  return text;
}

void show(const engine::Weights& weights, const reset::Vocabulary& vocabulary, const Policy& policy,
          const std::vector<Problem>& problems, const Options& options, const console::Terminal& terminal) {
  const int threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 4U));
  Solver solver(weights, vocabulary, policy, 1, threads);
  Display display(terminal, {policy.reset, policy.params.t_low, policy.params.t_high});
  display.head({{"model", describe_model(weights)}, {"policy", describe_policy(policy)}});
  const auto start = std::chrono::steady_clock::now();
  std::int64_t solved = 0;
  for (std::size_t i = 0; i < problems.size(); ++i) {
    display.begin(static_cast<std::int64_t>(i) + 1, static_cast<std::int64_t>(problems.size()), problems[i]);
    const Solution solution =
        solver.solve(problems[i], options.seed + i,
                     [&](const TokenRecord& record, std::string_view text) { display.token(record, text); });
    display.end(solution);
    solved += solution.verdict.correct ? 1 : 0;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  display.summary(solved, static_cast<std::int64_t>(problems.size()), seconds);
}

void run(const Options& options) {
  const std::int64_t count = options.evaluate > 0 ? options.evaluate : options.count;
  const std::vector<Problem> problems = select_problems(options.problems, count);
  if (options.evaluate > static_cast<std::int64_t>(problems.size())) {
    throw reset::Error("--evaluate is " + std::to_string(options.evaluate) + ", expected at most the " +
                       std::to_string(problems.size()) + " problems of " + options.problems);
  }
  const engine::Weights weights(options.model);
  reset::Vocabulary vocabulary = reset::read_tokenizer(options.model + "/tokenizer.json").vocabulary;
  vocabulary.resize(std::max(vocabulary.size(), static_cast<std::size_t>(weights.config.vocab_size)));
  const Policy policy = make_policy(options);
  const console::Terminal terminal(options.colour);
  if (options.evaluate > 0) {
    std::optional<Recorder> recorder;
    if (!options.trace.empty()) recorder.emplace(options.trace, name_of(options.model));
    evaluate(weights, vocabulary, policy, problems, options.seed, terminal, recorder ? &*recorder : nullptr);
    if (recorder) recorder->close();
  } else {
    show(weights, vocabulary, policy, problems, options, terminal);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Options defaults;
    defaults.model = RESET_REASONER_DIR "/model/nvfp4";
    defaults.problems = RESET_REASONER_DIR "/data/held_out.txt";
    const Options options = parse_options(std::vector<std::string>(argv + 1, argv + argc), defaults);
    if (options.help) {
      std::fputs(usage(), stdout);
      return 0;
    }
    run(options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "reasoner: %s\n", error.what());
    return 1;
  }
}
