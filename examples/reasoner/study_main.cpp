// One model under many policies, on many problems: outcomes for the statistics of bench/reasoner_study.py.
//
//   reasoner_study --model DIR --problems FILE --out FILE [--first N] [--count N] [--samples N] [--seed N]
//                  [--threads N] [--limit N] [--nvfp4-activations] POLICY...

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>
#include <reset/io/tokenizer.hpp>
#include <reset/status.hpp>

#include "arguments.hpp"
#include "parallel.hpp"
#include "study.hpp"
#include "study_policy.hpp"

namespace {

using namespace reasoner;
using Json = nlohmann::ordered_json;

struct Options {
  std::string model, problems, out;
  std::int64_t first = 0, count = 1000000, samples = 1, seed = 1, threads = 0, limit = 0;
  engine::Activations activations = engine::Activations::kFull;
  std::vector<std::string> policies;
};

Options parse(const std::vector<std::string>& arguments) {
  constexpr std::int64_t kMany = 1000000;
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& option = arguments[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 == arguments.size()) throw reset::Error(option + " is the last argument, expected a value after it");
      return arguments[++i];
    };
    const auto integer = [&](std::int64_t low) { return console::to_integer(option, value(), low, kMany); };
    if (option == "--model")
      options.model = value();
    else if (option == "--problems")
      options.problems = value();
    else if (option == "--out")
      options.out = value();
    else if (option == "--first")
      options.first = integer(0);
    else if (option == "--count")
      options.count = integer(1);
    else if (option == "--samples")
      options.samples = integer(1);
    else if (option == "--seed")
      options.seed = integer(0);
    else if (option == "--threads")
      options.threads = integer(1);
    else if (option == "--limit")
      options.limit = integer(1);  // of a trace, prompt included, in place of the model's own
    else if (option == "--nvfp4-activations")
      options.activations = engine::Activations::kNvfp4;
    else if (option[0] == '-')
      throw reset::Error("argument is \"" + option + "\", expected an option that study_main.cpp lists");
    else
      options.policies.push_back(option);
  }
  return options;
}

// Each problem `samples` times, one after the other.
std::vector<Problem> select_problems(const Options& options) {
  const std::vector<Problem> all = read_problems(options.problems);
  const auto size = static_cast<std::int64_t>(all.size());
  std::vector<Problem> problems;
  for (std::int64_t i = options.first; i < std::min(size, options.first + options.count); ++i) {
    problems.insert(problems.end(), static_cast<std::size_t>(options.samples), all[static_cast<std::size_t>(i)]);
  }
  if (problems.empty()) throw reset::Error("--first is past the last problem of " + options.problems);
  return problems;
}

Json describe(Study& study, const std::string& policy, double seconds) {
  Json out = {{"policy", policy}, {"seconds", seconds}, {"outcomes", study.outcomes()}};
  const Tally& tally = study.tally();
  out["tokens"] = tally.tokens;
  out["high"] = tally.high;
  out["uncertain"] = tally.uncertain;
  out["boundaries"] = study.boundaries();
  for (const std::size_t age : {2, 4, 8, 16, 32, 64}) out["aged"][std::to_string(age)] = study.aged(age);
  for (const int percent : {50, 60, 70, 75, 80, 85, 90, 95}) {
    out["entropy_percentiles"][std::to_string(percent)] = study.entropy_quantile(percent / 100.0);
  }
  out["share_above_tenth_nat"] = study.share_above(0.1F);
  out["share_above_half_nat"] = study.share_above(0.5F);
  out["token_entropies"] = study.tokens();
  for (const StepBin& bin : study.steps()) out["steps"].push_back({bin.steps, bin.wrong, bin.in_solved});
  return out;
}

void run(const Options& options) {
  engine::Weights weights(options.model);
  weights.unpack();
  if (options.limit > 0) weights.config.max_positions = options.limit;
  reset::Vocabulary vocabulary = reset::read_tokenizer(options.model + "/tokenizer.json").vocabulary;
  vocabulary.resize(std::max(vocabulary.size(), static_cast<std::size_t>(weights.config.vocab_size)));
  const std::vector<Problem> problems = select_problems(options);
  const auto cores = static_cast<std::int64_t>(std::max(1U, std::thread::hardware_concurrency()));
  const int threads = static_cast<int>(options.threads > 0 ? options.threads : cores);
  Json out = {{"model", options.model}, {"limit", weights.config.max_positions}, {"samples", options.samples},
              {"seed", options.seed},   {"problems", options.problems},          {"first", options.first}};
  out["activations"] = options.activations == engine::Activations::kFull ? "full" : "nvfp4";
  out["policies"] = Json::array();
  for (const std::string& text : options.policies) {
    Policy policy = parse_policy(text, vocabulary);
    policy.activations = options.activations;
    const auto start = std::chrono::steady_clock::now();
    std::vector<Solution> solutions(problems.size());
    std::atomic<std::size_t> next{0};
    solve_in_parallel(weights, vocabulary, policy, problems, static_cast<std::uint64_t>(options.seed), threads, next,
                      solutions);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    Study study(vocabulary);
    for (const Solution& solution : solutions) study.add(solution);
    out["policies"].push_back(describe(study, text, seconds));
    std::printf("%s  %-44s solved %5.1f %%  %6.1f tokens  %.1f s\n", options.model.c_str(), text.c_str(),
                100.0 * static_cast<double>(std::count(study.outcomes().begin(), study.outcomes().end(), '1')) /
                    static_cast<double>(problems.size()),
                static_cast<double>(study.tally().tokens) / static_cast<double>(problems.size()), seconds);
    std::fflush(stdout);
  }
  std::ofstream file(options.out);
  file << out.dump() << "\n";
  if (!file.flush()) throw reset::Error(options.out + ": cannot be written");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(parse(std::vector<std::string>(argv + 1, argv + argc)));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "reasoner_study: %s\n", error.what());
    return 1;
  }
}
