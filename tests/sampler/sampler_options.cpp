// What a request can choose beside its parameters: whether the detector ends steps, and what its random numbers are
// for.
#include <algorithm>
#include <string>
#include <vector>

#include "sampler_requests.hpp"

using namespace sampler_test;

namespace {

// The next token of slot 0, whose row is its request's and position's.
SampledToken next_token(Sampler& sampler, const RequestParams& request) {
  SampledToken token;
  const std::int64_t position = state_of(sampler, 0).next_position;
  REQUIRE(sampler.sample(0, logits_at(request.seed, position).data(), token).ok());
  return token;
}

// Gives the request of slot 0 other parameters; what it remembers stays.
void change(Sampler& sampler, const RequestParams& request) {
  const Sampler::State state = state_of(sampler, 0);
  REQUIRE(sampler.add(0, request).ok());
  REQUIRE(sampler.import_slot(0, state).ok());
}

}  // namespace

TEST_CASE("options: a detector that is off ends no step") {
  RequestParams request = make_request(3);
  request.detector_enabled = false;
  request.early_stop.patience = 1;
  Sampler off(make_config(1));
  reset::ReSETSampler none(make_config(1), reset::NoDetector());
  REQUIRE(off.add(0, request).ok());
  REQUIRE(none.add(0, request).ok());
  int fives = 0;
  for (int t = 0; t < 200; ++t) {
    const SampledToken token = next_token(off, request);
    SampledToken expected;
    REQUIRE(none.sample(0, logits_at(request.seed, 100 + t).data(), expected).ok());
    REQUIRE(same(token, expected));
    REQUIRE_FALSE(token.boundary);
    fives += token.token % 5 == 0 ? 1 : 0;
  }
  CHECK(fives > 20);
  CHECK(state_of(off, 0).policy.cleared == 0);
  CHECK(state_of(off, 0).policy.step_count == 200);
  CHECK(state_of(off, 0).early_stop.steps == 0);
}

TEST_CASE("options: turned off and on between tokens, the detector goes on watching") {
  RequestParams request = make_request(4);
  const Fives detector{13, 7};  // 13 switches the policy on, 7 off
  Sampler sampler(make_config(1), detector);
  REQUIRE(sampler.add(0, request).ok());
  Fives::State watched = detector.initial_state();
  bool ends = false;  // whether a marked boundary waits for the next active token
  int boundaries = 0;
  int unmarked = 0;
  int waited = 0;  // while it was off
  for (int t = 0; t < 800; ++t) {
    request.detector_enabled = t / 9 % 2 == 0;
    change(sampler, request);
    const SampledToken token = next_token(sampler, request);
    REQUIRE(token.boundary == (ends && token.active));
    const StepMark mark = detector.observe(watched, {token.token, token.entropy, 100 + t});
    REQUIRE(state_of(sampler, 0).detector.digest == watched.digest);
    REQUIRE(state_of(sampler, 0).mark.active == mark.active);
    ends = (ends && !token.active) || (mark.boundary && request.detector_enabled);
    boundaries += token.boundary ? 1 : 0;
    unmarked += mark.boundary && !request.detector_enabled && token.active ? 1 : 0;
    waited += ends && !token.active && !request.detector_enabled ? 1 : 0;
  }
  CHECK(boundaries > 3);
  CHECK(unmarked > 3);
  CHECK(waited > 3);
}

TEST_CASE("options: a drafter with the target's seed draws by random numbers of its own") {
  constexpr int kTokens = 300;
  RequestParams request = make_request(5);
  request.reset_enabled = false;
  const std::vector<float> flat(kVocabulary, 0.0f);
  for (const float top_p : {1.0f, 0.95f}) {
    request.sampling.top_p = top_p;
    std::vector<std::int32_t> tokens[2];
    for (const reset::RandomPurpose purpose : {reset::RandomPurpose::kSampling, reset::RandomPurpose::kDrafting}) {
      request.purpose = purpose;
      Sampler sampler(make_config(1));
      REQUIRE(sampler.add(0, request).ok());
      for (int t = 0; t < kTokens; ++t) {
        SampledToken token;
        REQUIRE(sampler.sample(0, flat.data(), token).ok());
        tokens[purpose == reset::RandomPurpose::kSampling ? 0 : 1].push_back(token.token);
        // What each of the two draws, from the definition: among few tokens the highest score wins. The first kept
        // tokens of equal ones are those of the lowest ids.
        const reset::RandomKey key{request.seed, 100 + t, purpose};
        const int kept = top_p < 1.0f ? 38 : kVocabulary;
        std::int32_t best = 0;
        for (std::int32_t id = 1; id < kept; ++id) {
          if (reset::gumbel_noise(key, id) > reset::gumbel_noise(key, best)) best = id;
        }
        REQUIRE(token.token == best);
      }
    }
    int equal = 0;
    for (std::size_t t = 0; t < kTokens; ++t) equal += tokens[0][t] == tokens[1][t] ? 1 : 0;
    CHECK(equal < kTokens / 10);  // one in 40 by chance
  }
}

TEST_CASE("options: the purpose of a request's random numbers is to sample or to draft") {
  Sampler sampler(make_config(1));
  for (const reset::RandomPurpose purpose : {reset::RandomPurpose::kAccepting, reset::RandomPurpose::kResidual,
                                             static_cast<reset::RandomPurpose>(1u << 30)}) {
    RequestParams request = make_request(5);
    request.purpose = purpose;
    CHECK(std::string(sampler.add(0, request).argument()) == "purpose");
  }
}
