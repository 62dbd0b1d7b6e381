// Long random traces: the library's policy against the independent one, decision by decision.
#include <random>

#include <reset/sampler/policy.hpp>

#include "policy_reference.hpp"
#include "support/catch.hpp"

namespace {

struct Regime {
  int length;
  int levels;             // entropies are uniform in 0..levels units of 1/1024: few levels make many exact ties
  double boundary;        // how often a step ends
  double boundary_again;  // how often a boundary follows a boundary: runs of newlines
};

struct Tally {
  long tokens = 0, mismatches = 0, uncertain = 0, low = 0;
};

constexpr std::int64_t kTau0 = 512;

void compare(const Regime& regime, int window, bool include_current, unsigned seed, Tally& tally) {
  reset::ReSETParams params;
  params.tau0 = static_cast<float>(kTau0) / 1024.0f;
  params.t_low = 0.25f;
  params.t_high = 1.0f;
  params.window = window;
  params.history = include_current ? reset::HistoryMode::kIncludeCurrent : reset::HistoryMode::kExcludeCurrent;
  REQUIRE(params.validate().ok());
  reset::ReSETState state;
  naive::Policy reference(kTau0, static_cast<std::size_t>(window), include_current);

  std::mt19937 random(seed);
  std::uniform_int_distribution<int> level(0, regime.levels);
  std::uniform_real_distribution<double> chance(0.0, 1.0);
  bool boundary = false;
  int base = 0;
  for (int t = 0; t < regime.length; ++t) {
    boundary = chance(random) < (boundary ? regime.boundary_again : regime.boundary);
    if (boundary) base = level(random) / 2;  // steps differ in their mean
    const std::int64_t h = base + level(random) / 2;
    const naive::Decision expected = reference.token(h, boundary);
    const reset::ReSETDecision found = reset_step(params, state, static_cast<float>(h) / 1024.0f, boundary);
    const bool same = found.uncertain == expected.uncertain && found.high == expected.high &&
                      found.temperature == (expected.high ? params.t_high : params.t_low);
    ++tally.tokens;
    tally.mismatches += same ? 0 : 1;
    tally.uncertain += found.uncertain ? 1 : 0;
    tally.low += found.high ? 0 : 1;
  }
}

}  // namespace

TEST_CASE("policy: no decision differs from the independent implementation over two million tokens") {
  const Regime regimes[] = {
      {20000, 1024, 0.02, 0.3}, {20000, 8, 0.05, 0.5},   {20000, 2, 0.2, 0.5},
      {20000, 4096, 0.3, 0.9},  {20000, 1500, 0.0, 0.0}, {60000, 1100, 0.001, 0.1},
  };
  Tally tally;
  unsigned seed = 1;
  for (const int window : {0, 1, 2, 3, 16, 32, 64, 127, 128}) {
    for (const bool include_current : {false, true}) {
      for (const Regime& regime : regimes) compare(regime, window, include_current, seed++, tally);
    }
  }
  CHECK(tally.tokens >= 2000000);
  CHECK(tally.mismatches == 0);
  // The traces visit every branch often.
  CHECK(tally.uncertain > tally.tokens / 20);
  CHECK(tally.low > tally.tokens / 20);
  CHECK(tally.low < tally.tokens - tally.tokens / 20);
}

TEST_CASE("policy: the reported means are those of the entropies, in order of arrival") {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> entropies(0.0f, 5.0f);
  for (const bool include_current : {false, true}) {
    reset::ReSETParams params;
    params.history = include_current ? reset::HistoryMode::kIncludeCurrent : reset::HistoryMode::kExcludeCurrent;
    reset::ReSETState state;
    std::vector<float> all;
    std::size_t begin = 0;
    long mismatches = 0;
    for (int t = 0; t < 3000; ++t) {
      const bool boundary = t % 97 == 96;
      if (boundary) begin = all.size();
      const float h = entropies(random);
      const std::size_t age = all.size() - begin;
      if (include_current) all.push_back(h);
      // volatile holds the order of the sum under fast-math
      const auto mean = [&](std::size_t from) {
        volatile double sum = 0.0;
        for (std::size_t i = from; i < all.size(); ++i) sum = sum + static_cast<double>(all[i]);
        volatile double count = static_cast<double>(all.size() - from);
        return sum / count;
      };
      const std::size_t window = static_cast<std::size_t>(params.window);
      const std::size_t window_begin = all.size() > window ? all.size() - window : 0;
      const double step = age < window ? (all.empty() ? static_cast<double>(h) : mean(window_begin)) : mean(begin);
      const double global = all.empty() ? step : mean(0);
      const reset::ReSETDecision found = reset_step(params, state, h, boundary);
      mismatches += found.step_mean == step && found.global_mean == global ? 0 : 1;
      if (!include_current) all.push_back(h);
    }
    CHECK(mismatches == 0);
  }
}
