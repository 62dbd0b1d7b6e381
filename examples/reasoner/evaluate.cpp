#include "evaluate.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "model.hpp"
#include "parallel.hpp"
#include "statistics.hpp"

namespace reasoner {
namespace {

struct Result {
  std::vector<Solution> solutions;
  double seconds = 0;

  std::int64_t solved() const {
    return std::count_if(solutions.begin(), solutions.end(), [](const Solution& s) { return s.verdict.correct; });
  }
};

// Shows how far a run is until it is destroyed; silent where standard error is no terminal.
class Watch {
 public:
  Watch(const char* name, const std::atomic<std::size_t>& next, std::size_t count) {
    if (isatty(STDERR_FILENO) == 0) return;
    thread_ = std::thread([this, name, &next, count] {
      while (!done_) {
        std::fprintf(stderr, "\r  %s: %zu of %zu\x1b[K", name, std::min(next.load(), count), count);
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
      std::fputs("\r\x1b[K", stderr);
    });
  }
  ~Watch() {
    done_ = true;
    if (thread_.joinable()) thread_.join();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  std::atomic<bool> done_{false};
  std::thread thread_;
};

Result run(const char* name, const engine::Weights& weights, const reset::Vocabulary& vocabulary, const Policy& policy,
           const std::vector<Problem>& problems, std::uint64_t seed) {
  const auto start = std::chrono::steady_clock::now();
  Result result;
  result.solutions.resize(problems.size());
  std::atomic<std::size_t> next{0};
  {
    const Watch watch(name, next, problems.size());
    const int threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    solve_in_parallel(weights, vocabulary, policy, problems, seed, threads, next, result.solutions);
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

void record(Recorder& recorder, const Policy& policy, const std::vector<Problem>& problems, std::uint64_t seed,
            const Result& result) {
  for (std::size_t i = 0; i < problems.size(); ++i) recorder.add(policy, problems[i], seed + i, result.solutions[i]);
}

void print_row(const std::string& name, const Result& result, bool two_temperatures) {
  Tally tally;
  std::int64_t unfinished = 0;
  for (const Solution& solution : result.solutions) {
    for (const TokenRecord& record : solution.tokens) tally.add(record);
    unfinished += solution.finished ? 0 : 1;
  }
  const auto count = static_cast<std::int64_t>(result.solutions.size());
  const double rate = 100.0 * static_cast<double>(result.solved()) / static_cast<double>(count);
  const Interval interval = wilson(result.solved(), count);
  char high[16] = "-";
  if (two_temperatures) std::snprintf(high, sizeof high, "%.0f %%", 100 * tally.share(tally.high));
  std::printf("  %-34s %5.1f %%  [%4.1f, %5.1f]  %6s  %6.0f  %5.1f %%  %8.0f\n", name.c_str(), rate, 100 * interval.low,
              100 * interval.high, high, static_cast<double>(tally.tokens) / static_cast<double>(count),
              100.0 * static_cast<double>(unfinished) / static_cast<double>(count),
              static_cast<double>(tally.tokens) / result.seconds);
}

}  // namespace

void evaluate(const engine::Weights& weights, const reset::Vocabulary& vocabulary, const Policy& policy,
              const std::vector<Problem>& problems, std::uint64_t seed, const console::Terminal& terminal,
              Recorder* recorder) {
  Policy plain = policy;
  plain.reset = false;
  Policy reset = policy;
  reset.reset = true;
  char name[64];
  std::snprintf(name, sizeof name, "T = %g", static_cast<double>(plain.temperature));
  const std::string baseline = name;
  const Result before = run(baseline.c_str(), weights, vocabulary, plain, problems, seed);
  const Result after = run("ReSET", weights, vocabulary, reset, problems, seed);
  if (recorder != nullptr) {
    record(*recorder, plain, problems, seed, before);
    record(*recorder, reset, problems, seed, after);
  }
  std::printf("\n  %zu problems, top-p %g, seeds from %llu, 95 %% intervals (Wilson)\n\n", problems.size(),
              static_cast<double>(policy.top_p), static_cast<unsigned long long>(seed));
  char head[160];
  std::snprintf(head, sizeof head, "  %-34s %7s  %-13s  %6s  %6s  %7s  %8s", "policy", "solved", "interval", "T_high",
                "tokens", "cut off", "tokens/s");
  std::printf("%s\n", terminal.paint(console::Colour::kFaint, head).c_str());
  print_row(baseline, before, false);
  std::snprintf(name, sizeof name, "ReSET, tau_0 %g, T_low %g", static_cast<double>(policy.params.tau0),
                static_cast<double>(policy.params.t_low));
  print_row(name, after, true);
  std::int64_t gained = 0;
  std::int64_t lost = 0;
  for (std::size_t i = 0; i < problems.size(); ++i) {
    const bool was = before.solutions[i].verdict.correct;
    const bool is = after.solutions[i].verdict.correct;
    gained += !was && is ? 1 : 0;
    lost += was && !is ? 1 : 0;
  }
  const auto count = static_cast<std::int64_t>(problems.size());
  const Interval difference = paired_difference(gained, lost, count);
  std::printf("\n  ReSET minus %s: %+.1f points [%+.1f, %+.1f]   (%lld gained, %lld lost, paired by seed)\n",
              baseline.c_str(), 100.0 * static_cast<double>(gained - lost) / static_cast<double>(count),
              100 * difference.low, 100 * difference.high, static_cast<long long>(gained),
              static_cast<long long>(lost));
  std::printf("  with the 95 %% interval of Agresti and Min\n\n");
}

}  // namespace reasoner
