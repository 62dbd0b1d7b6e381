// The edge cases of the policy, one by one.
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <reset/sampler/policy.hpp>

#include "support/catch.hpp"

using reset::HistoryMode;
using reset::ReSETDecision;
using reset::ReSETParams;
using reset::ReSETState;

namespace {

ReSETParams make_params(int window, HistoryMode history = HistoryMode::kExcludeCurrent) {
  ReSETParams params;
  params.tau0 = 0.5f;
  params.t_low = 0.25f;
  params.t_high = 1.0f;
  params.window = window;
  params.history = history;
  return params;
}

const HistoryMode kModes[] = {HistoryMode::kExcludeCurrent, HistoryMode::kIncludeCurrent};

const float kNaN = std::numeric_limits<float>::quiet_NaN();
const float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE("policy: the first token is judged by tau_0 alone") {
  for (const HistoryMode mode : kModes) {
    for (const int window : {0, 1, 32, 128}) {
      ReSETState state;
      const ReSETDecision low = reset_step(make_params(window, mode), state, 0.25f, false);
      CHECK_FALSE(low.high);
      CHECK(low.temperature == 0.25f);
      CHECK(low.threshold == 0.5);
      CHECK(low.step_mean == 0.25);
      CHECK(low.global_mean == 0.25);
      CHECK_FALSE(low.uncertain);
      CHECK(state.global_count == 1);
      ReSETState other;
      CHECK(reset_step(make_params(window, mode), other, 3.0f, false).temperature == 1.0f);
    }
  }
}

TEST_CASE("policy: an entropy equal to the threshold gives T_high") {
  ReSETState state;
  CHECK(reset_step(make_params(32), state, 0.5f, false).high);
  CHECK_FALSE(reset_step(make_params(32), state, 0.49999997f, false).high);

  // The same for the threshold of an uncertain step: history 0 0 | 2 2, then H = Hstep = 2 > Hbar = 1.
  ReSETState uncertain;
  const ReSETParams params = make_params(1);
  reset_step(params, uncertain, 0.0f, false);
  reset_step(params, uncertain, 0.0f, false);
  reset_step(params, uncertain, 2.0f, true);
  reset_step(params, uncertain, 2.0f, false);
  ReSETState below = uncertain;
  const ReSETDecision at = reset_step(params, uncertain, 2.0f, false);
  CHECK(at.uncertain);
  CHECK(at.threshold == 2.0);
  CHECK(at.global_mean == 1.0);
  CHECK(at.high);
  const ReSETDecision under = reset_step(params, below, 1.75f, false);
  CHECK(under.uncertain);
  CHECK_FALSE(under.high);
}

TEST_CASE("policy: a step mean equal to the global mean is a confident step") {
  // 1 | 1 1 1 ...: every mean is 1, after the boundary as well.
  for (const HistoryMode mode : kModes) {
    ReSETState state;
    for (int t = 0; t < 300; ++t) {
      const ReSETDecision decision = reset_step(make_params(8, mode), state, 1.0f, t % 50 == 49);
      CHECK(decision.step_mean == decision.global_mean);
      CHECK_FALSE(decision.uncertain);
      CHECK(decision.threshold == 0.5);
    }
  }
}

TEST_CASE("policy: window 0 lets the step rule from its first token") {
  const ReSETParams params = make_params(0);
  ReSETState state;
  reset_step(params, state, 1.0f, false);
  CHECK(reset_step(params, state, 3.0f, false).step_mean == 1.0);
  // The step is new and empty: its mean is H_t, above the global mean of 2, and never below itself.
  const ReSETDecision first = reset_step(params, state, 2.5f, true);
  CHECK(first.step_mean == 2.5);
  CHECK(first.global_mean == 2.0);
  CHECK(first.uncertain);
  CHECK(first.high);
  CHECK(reset_step(params, state, 1.0f, false).step_mean == 2.5);

  const ReSETParams inclusive = make_params(0, HistoryMode::kIncludeCurrent);
  ReSETState other;
  reset_step(inclusive, other, 1.0f, false);
  CHECK(reset_step(inclusive, other, 3.0f, false).step_mean == 2.0);
  CHECK(reset_step(inclusive, other, 5.0f, true).step_mean == 5.0);
}

TEST_CASE("policy: window 1 stands in for a step of no tokens, and the window crosses boundaries") {
  const ReSETParams params = make_params(1);
  ReSETState state;
  reset_step(params, state, 1.0f, false);
  reset_step(params, state, 3.0f, false);
  const ReSETDecision first = reset_step(params, state, 0.0f, true);
  CHECK(first.step_mean == 3.0);
  CHECK(first.global_mean == 2.0);
  CHECK(first.uncertain);
  const ReSETDecision second = reset_step(params, state, 0.0f, false);
  CHECK(second.step_mean == 0.0);
  CHECK_FALSE(second.uncertain);
}

TEST_CASE("policy: nothing is uncertain while the window holds the whole history") {
  // Two entropies a boundary apart, the second higher; only the third token sees more than w = 2 of them.
  const ReSETParams params = make_params(2);
  ReSETState state;
  reset_step(params, state, 0.0f, false);
  CHECK_FALSE(reset_step(params, state, 3.0f, true).uncertain);
  CHECK_FALSE(reset_step(params, state, 3.0f, false).uncertain);
  CHECK(reset_step(params, state, 3.0f, false).uncertain);

  const ReSETParams inclusive = make_params(2, HistoryMode::kIncludeCurrent);
  ReSETState other;
  reset_step(inclusive, other, 0.0f, false);
  CHECK_FALSE(reset_step(inclusive, other, 3.0f, true).uncertain);
  CHECK(reset_step(inclusive, other, 3.0f, false).uncertain);
}

TEST_CASE("policy: without a detector it is a fixed threshold, however the sums round") {
  for (const HistoryMode mode : kModes) {
    for (const int window : {0, 1, 7, 32}) {
      ReSETState state;
      int uncertain = 0;
      for (int t = 0; t < 5000; ++t) {
        const float h = 0.1f * static_cast<float>(t % 11);  // not exact in binary: sums round
        const ReSETDecision decision = reset_step(make_params(window, mode), state, h, false);
        uncertain += decision.uncertain ? 1 : 0;
        REQUIRE(decision.high == (h >= 0.5f));
      }
      CHECK(uncertain == 0);
    }
  }
}

TEST_CASE("policy: a run of boundaries clears steps of one token and changes nothing else") {
  const ReSETParams params = make_params(4);
  ReSETState state;
  for (int t = 0; t < 10; ++t) reset_step(params, state, 1.0f, false);
  for (int t = 0; t < 5; ++t) {
    const ReSETDecision decision = reset_step(params, state, 1.0f, true);
    CHECK(decision.step_mean == 1.0);
    CHECK(state.step_count == 1);
    CHECK(state.step_sum == 1.0);
  }
  CHECK(state.global_count == 15);
  CHECK(state.cleared == 5);
}

TEST_CASE("policy: a boundary as the first token does not make a later step uncertain by itself") {
  // The boundary comes before any entropy: it clears an empty history, so the request is still in its first step.
  const ReSETParams params = make_params(2);
  ReSETState state;
  CHECK_FALSE(reset_step(params, state, 0.0f, true).uncertain);
  CHECK(state.cleared == 0);
  for (const float h : {3.0f, 0.0f, 3.0f, 3.0f, 3.0f}) CHECK_FALSE(reset_step(params, state, h, false).uncertain);
  // After the first generated token it clears a step of one.
  ReSETState second;
  reset_step(params, second, 0.0f, false);
  reset_step(params, second, 3.0f, true);
  CHECK(second.cleared == 1);
}

TEST_CASE("policy: an entropy that is not finite never enters the history") {
  for (const HistoryMode mode : kModes) {
    for (const float bad : {kNaN, -kNaN, kInfinity, -kInfinity}) {
      const ReSETParams params = make_params(4, mode);
      ReSETState clean, dirty;
      for (int t = 0; t < 200; ++t) {
        const float h = static_cast<float>(t * 37 % 23) * 0.125f;
        const bool boundary = t % 19 == 18;
        if (t % 7 == 3) {
          const ReSETState before = dirty;
          const ReSETDecision decision = reset_step(params, dirty, bad, false);
          CHECK(decision.high);
          CHECK(decision.temperature == params.t_high);
          REQUIRE(std::memcmp(&before, &dirty, sizeof before) == 0);
        }
        const ReSETDecision a = reset_step(params, clean, h, boundary);
        const ReSETDecision b = reset_step(params, dirty, h, boundary);
        REQUIRE(a.threshold == b.threshold);
        REQUIRE(a.high == b.high);
      }
      CHECK(std::memcmp(&clean, &dirty, sizeof clean) == 0);
      // The boundary before a bad row still ends the step.
      reset_step(params, dirty, bad, true);
      CHECK(dirty.step_count == 0);
      CHECK(dirty.global_count == clean.global_count);
    }
  }
}

TEST_CASE("policy: a step of a million tokens costs and decides like a short one") {
  const ReSETParams params = make_params(32);
  ReSETState state;
  for (int t = 0; t < 40; ++t) reset_step(params, state, 0.25f, false);
  reset_step(params, state, 0.75f, true);
  ReSETDecision decision;
  for (int t = 1; t < 1000000; ++t) decision = reset_step(params, state, 0.75f, false);
  CHECK(state.step_count == 1000000);
  CHECK(state.step_sum == 750000.0);
  CHECK(decision.step_mean == 0.75);
  CHECK(decision.global_mean == (40 * 0.25 + 999999 * 0.75) / 1000039.0);
  CHECK(decision.uncertain);
  CHECK(decision.high);
}

TEST_CASE("policy: parameters outside their domain are refused by name") {
  CHECK(ReSETParams{}.validate().ok());
  const auto refuses = [](ReSETParams params, const char* argument) {
    const reset::Status status = params.validate();
    CHECK(status.code() == reset::StatusCode::kInvalidArgument);
    CHECK(std::string(status.argument()) == argument);
  };
  for (const float bad : {-0.1f, kNaN, kInfinity, -kInfinity}) {
    ReSETParams params = make_params(32);
    params.t_low = bad;
    refuses(params, "t_low");
    params = make_params(32);
    params.t_high = bad;
    refuses(params, "t_high");
    params = make_params(32);
    params.tau0 = bad;
    refuses(params, "tau0");
  }
  refuses(make_params(-1), "window");
  refuses(make_params(129), "window");
  CHECK(make_params(129).validate().message() == "invalid argument: window is 129, expected 0..128");
  refuses(make_params(32, static_cast<HistoryMode>(7)), "history");
}

TEST_CASE("policy: a state copied byte by byte goes on as the original, and a broken one is recognised") {
  const ReSETParams params = make_params(16);
  ReSETState state;
  for (int t = 0; t < 500; ++t) reset_step(params, state, static_cast<float>(t % 13) * 0.2f, t % 41 == 40);
  ReSETState copy;
  std::memcpy(&copy, &state, sizeof state);
  CHECK(copy.validate().ok());
  for (int t = 0; t < 500; ++t) {
    const float h = static_cast<float>(t % 17) * 0.1f;
    REQUIRE(reset_step(params, state, h, t % 29 == 0).threshold == reset_step(params, copy, h, t % 29 == 0).threshold);
  }
  CHECK(std::memcmp(&copy, &state, sizeof state) == 0);

  ReSETState broken = state;
  broken.global_count = -1;
  CHECK(std::string(broken.validate().argument()) == "global_count");
  broken = state;
  broken.step_count = state.global_count + 1;
  CHECK(std::string(broken.validate().argument()) == "step_count");
  broken = state;
  broken.cleared = state.global_count + 1;
  CHECK(std::string(broken.validate().argument()) == "cleared");
  broken = state;
  broken.ring[5] = kNaN;
  CHECK(std::string(broken.validate().argument()) == "ring");
  broken = state;
  broken.step_sum = static_cast<double>(kInfinity);
  CHECK(std::string(broken.validate().argument()) == "step_sum");
  broken = state;
  broken.global_sum = static_cast<double>(kNaN);
  CHECK(std::string(broken.validate().argument()) == "global_sum");
  for (const std::int64_t count : {reset::kMaxTokenCount + 1, std::numeric_limits<std::int64_t>::max()}) {
    broken = state;
    broken.global_count = count;
    CHECK(std::string(broken.validate().argument()) == "global_count");
  }
  broken = state;
  broken.ring[127] = -0.25f;
  CHECK(std::string(broken.validate().argument()) == "ring");
  broken = state;
  broken.step_sum = -1.0;
  CHECK(std::string(broken.validate().argument()) == "step_sum");
  broken = state;
  broken.global_sum = -1.0;
  CHECK(std::string(broken.validate().argument()) == "global_sum");
}

TEST_CASE("policy: a sum of nothing is nothing") {
  ReSETState state;
  CHECK(state.validate().ok());
  state.global_sum = 0.5;
  CHECK(std::string(state.validate().argument()) == "global_sum");
  state.global_count = 1;
  CHECK(state.validate().ok());
  state.step_sum = 0.5;
  CHECK(std::string(state.validate().argument()) == "step_sum");
  state.step_count = 1;
  CHECK(state.validate().ok());
}

TEST_CASE("policy: even a count that is not valid stays inside the ring") {
  for (const std::int64_t count :
       {std::int64_t{-1}, std::int64_t{-129}, std::numeric_limits<std::int64_t>::max() - 1}) {
    ReSETState state;
    state.global_count = count;
    reset_step(make_params(4), state, 0.75f, false);
    CHECK(state.ring[count < 0 ? 127 : 126] == 0.75f);
  }
}
