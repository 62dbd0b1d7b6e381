// The flag that ends a request early: by steps without progress, and by an answer that has settled.
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "sampler_requests.hpp"

#include <reset/sampler/early_stop.hpp>

using namespace sampler_test;
using reset::EarlyStopParams;
using reset::EarlyStopState;

namespace {

constexpr StepMark kReasoning{false, true};
constexpr StepMark kNewStep{true, true};
constexpr StepMark kAnswer{false, false};

// Steps of two tokens around a mean, and the token that begins the next; which token, counted from 0, sees the flag up.
int first_stop(const EarlyStopParams& params, const std::vector<double>& means) {
  EarlyStopState state;
  int token = 0;
  for (const double mean : means) {
    for (const double offset : {-0.25, 0.25}) {
      if (state.stop) return token;
      const StepMark mark = offset < 0.0 && token > 0 ? kNewStep : kReasoning;
      reset::detail::follow_stop(params, state, mark, static_cast<float>(mean + offset));
      ++token;
    }
  }
  return state.stop ? token : -1;
}

EarlyStopParams patient(int steps) {
  EarlyStopParams params;
  params.patience = steps;
  params.progress = 0.1f;
  return params;
}

// Tokens of an answer until the flag is up, -1 where it never is.
int settled_after(const EarlyStopParams& params, const std::vector<float>& answer, bool reasoned) {
  EarlyStopState state;
  if (reasoned) reset::detail::follow_stop(params, state, kReasoning, 5.0f);
  for (std::size_t i = 0; i < answer.size(); ++i) {
    reset::detail::follow_stop(params, state, kAnswer, answer[i]);
    if (state.stop) return static_cast<int>(i) + 1;
  }
  return -1;
}

}  // namespace

TEST_CASE("early stop: off by default") {
  EarlyStopState state;
  for (int i = 0; i < 1000; ++i) {
    reset::detail::follow_stop(EarlyStopParams(), state, i % 3 == 0 ? kNewStep : i < 700 ? kReasoning : kAnswer, 0.0f);
  }
  CHECK_FALSE(state.stop);
  CHECK(state.count == 0);  // and it costs nothing
}

TEST_CASE("early stop: as many finished steps in a row without progress as there is patience for") {
  // The third, fourth and fifth steps fall by less than 0.1 below the second, the lowest but for them. A step is
  // finished by the first token of the next.
  const std::vector<double> means = {2.0, 1.5, 1.45, 1.42, 1.41, 0.5, 0.5, 0.5, 0.5};
  CHECK(first_stop(patient(1), means) == 7);
  CHECK(first_stop(patient(2), means) == 9);
  // Falls of less than `progress` add up to none: the fourth is 0.03 below the third, the lowest then.
  CHECK(first_stop(patient(3), means) == 11);
  CHECK(first_stop(patient(4), means) == -1);  // the sixth step is progress, and of three more the last is not finished
  CHECK(first_stop(patient(0), means) == -1);
  CHECK(first_stop(patient(2), {3.0, 2.0, 1.0, 0.0}) == -1);
}

TEST_CASE("early stop: an answer that has settled") {
  EarlyStopParams params;
  params.answer_level = 0.5f;
  params.answer_tokens = 4;
  const std::vector<float> sure = {0.1f, 0.2f, 0.1f, 0.2f, 0.1f};
  CHECK(settled_after(params, sure, true) == 4);
  CHECK(settled_after(params, sure, false) == -1);  // nothing was reasoned: there is no answer to it
  CHECK(settled_after(params, {3.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f}, true) == 7);  // 3 / 7 < 0.5 <= 3 / 6
  CHECK(settled_after(params, {0.1f, kNaN, 0.1f, kInfinity, 0.1f, 0.1f}, true) == 6);
  params.answer_level = 0.0f;
  params.patience = 5;
  CHECK(settled_after(params, sure, true) == -1);
}

TEST_CASE("early stop: the answer finishes the last step, and reasoning anew begins another answer") {
  EarlyStopParams params = patient(1);
  params.answer_level = 0.5f;
  params.answer_tokens = 3;
  EarlyStopState state;
  const auto follow = [&](StepMark mark, float entropy) { reset::detail::follow_stop(params, state, mark, entropy); };
  follow(kReasoning, 1.0f);
  follow(kAnswer, 0.1f);
  CHECK(state.steps == 1);
  follow(kAnswer, 0.1f);
  follow(kNewStep, 0.2f);  // two tokens of the answer are forgotten
  CHECK(state.steps == 1);
  follow(kAnswer, 0.1f);
  CHECK(state.steps == 2);
  CHECK(state.lowest == static_cast<double>(0.2f));
  follow(kAnswer, 0.1f);
  CHECK_FALSE(state.stop);
  follow(kAnswer, 0.1f);
  CHECK(state.stop);
  follow(kReasoning, 9.0f);
  CHECK(state.stop);  // it stays up
}

TEST_CASE("early stop: the sampler tells the flag with the tokens behind it, however it is driven") {
  int stopped = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    RequestParams request = make_request(seed);
    request.early_stop = patient(2);
    const std::vector<SampledToken> results = run_alone(request, 80);
    // The rules applied to what the results tell.
    EarlyStopState state;
    for (const SampledToken& result : results) {
      REQUIRE(result.stop == state.stop);
      reset::detail::follow_stop(request.early_stop, state, {result.boundary, result.active}, result.entropy);
    }
    stopped += state.stop ? 1 : 0;
  }
  CHECK(stopped > 5);
}

TEST_CASE("early stop: parameters outside their domain are refused by name") {
  const auto argument = [](auto change) {
    RequestParams request = make_request(1);
    change(request.early_stop);
    Sampler sampler(make_config(1));
    return std::string(sampler.add(0, request).argument());
  };
  CHECK(argument([](EarlyStopParams& p) { p.patience = -1; }) == "early_stop.patience");
  CHECK(argument([](EarlyStopParams& p) { p.progress = kNaN; }) == "early_stop.progress");
  CHECK(argument([](EarlyStopParams& p) { p.answer_level = -0.5f; }) == "early_stop.answer_level");
  CHECK(argument([](EarlyStopParams& p) { p.answer_tokens = 0; }) == "early_stop.answer_tokens");
}
