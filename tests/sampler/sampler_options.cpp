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

// A model's row with tokens masked, penalised and favoured: what an engine samples from.
std::vector<float> processed(std::vector<float> row, unsigned seed) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    if ((i + seed) % 3 == 0) row[i] = -kInfinity;
    if ((i + seed) % 3 == 1) row[i] = 0.5f * row[i] - 1.0f;
    if ((i + seed) % 7 == 0) row[i] += 2.5f;
  }
  return row;
}

std::vector<float> processed_at(std::uint64_t request, std::int64_t position) {
  return processed(logits_at(request, position), static_cast<unsigned>(position));
}

// Three rows of a slot, two of them behind drafts, and the model's.
struct Call {
  std::vector<float> logits;
  std::vector<float> model;
  SamplerRow rows[3];
};

Call drafted_rows(std::uint64_t request, std::int64_t position) {
  Call call;
  for (int i = 0; i < 3; ++i) {
    const std::vector<float> row = processed_at(request, position + i);
    append(call.logits, row);
    append(call.model, logits_at(request, position + i));
    call.rows[i].position = position + i;
    const auto best = std::max_element(row.begin(), row.end()) - row.begin();
    if (i < 2) call.rows[i + 1].token = static_cast<std::int32_t>(best);
  }
  return call;
}

// What a row gives at a fixed temperature.
SampledToken sample_at(float temperature, RequestParams request, std::int64_t position, const std::vector<float>& row) {
  request.reset_enabled = false;
  request.sampling.temperature = temperature;
  request.first_position = position;
  SamplerConfig config = make_config(1);
  config.rank = true;
  Sampler sampler(config);
  REQUIRE(sampler.add(0, request).ok());
  SampledToken token;
  REQUIRE(sampler.sample(0, row.data(), token).ok());
  return token;
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

TEST_CASE("options: the policy sees the entropy of rows of its own, and the token comes from the others") {
  const RequestParams request = make_request(8);
  SamplerConfig config = make_config(1);
  config.rank = true;
  reset::ReSETSampler both(config, reset::NoDetector());
  reset::ReSETSampler raw(config, reset::NoDetector());
  REQUIRE(both.add(0, request).ok());
  REQUIRE(raw.add(0, request).ok());
  int low = 0;
  int others = 0;
  for (int t = 0; t < 200; ++t) {
    const std::int64_t position = 100 + t;
    const std::vector<float> row = processed_at(request.seed, position);
    const std::vector<float> model = logits_at(request.seed, position);
    SampledToken token, plain;
    REQUIRE(both.sample(0, row.data(), token, model.data()).ok());
    REQUIRE(raw.sample(0, model.data(), plain).ok());
    REQUIRE(reset::detail::bits_of(token.entropy) == reset::detail::bits_of(plain.entropy));
    REQUIRE(token.policy.temperature == plain.policy.temperature);
    REQUIRE(token.policy.threshold == plain.policy.threshold);
    const SampledToken fixed = sample_at(token.policy.temperature, request, position, row);
    REQUIRE(token.token == fixed.token);
    REQUIRE(token.logprob == fixed.logprob);
    REQUIRE(token.rank == fixed.rank);
    REQUIRE(token.entropy != fixed.entropy);
    low += token.policy.high ? 0 : 1;
    others += token.token == plain.token ? 0 : 1;
  }
  CHECK((low > 20 && low < 180));
  CHECK(others > 100);
}

TEST_CASE("options: matched drafts with entropies of other rows are one row after the other") {
  const RequestParams request = make_request(9);
  Sampler alone(make_config(1)), together(make_config(1, 3)), applied(make_config(1, 3));
  for (Sampler* sampler : {&alone, &together, &applied}) REQUIRE(sampler->add(0, request).ok());
  int held = 0;
  for (std::int64_t position = 100; position < 400;) {
    const Call call = drafted_rows(request.seed, position);
    SampledToken results[3], scored[3];
    REQUIRE(applied.import_slot(0, state_of(together, 0)).ok());
    REQUIRE(applied.apply(call.logits.data(), call.rows, 3, scored, call.model.data()).ok());
    REQUIRE(together.step(call.logits.data(), call.rows, 3, results, nullptr, call.model.data()).ok());
    std::int32_t count = 0;
    for (; count < 3 && results[count].status != reset::RowStatus::kUnused; ++count, ++position) {
      SampledToken expected;
      const auto row = processed_at(request.seed, position);
      REQUIRE(alone.sample(0, row.data(), expected, logits_at(request.seed, position).data()).ok());
      REQUIRE(same(results[count], expected));
      REQUIRE(same(scored[count], expected));
    }
    REQUIRE(same_state(state_of(together, 0), state_of(alone, 0)));
    REQUIRE(applied.commit(0, count).ok());
    REQUIRE(same_state(state_of(applied, 0), state_of(alone, 0)));
    held += count - 1;
  }
  CHECK(held > 20);
}

TEST_CASE("options: rejection with entropies of other rows is that at the temperature which they give") {
  const RequestParams request = make_request(10);
  Sampler sampler(make_config(1, 3)), plain(make_config(1, 3));
  const std::vector<float> draft(3 * kVocabulary, 1.0f);
  int held = 0;
  int low = 0;
  for (std::int64_t position = 100; position < 400; ++position) {
    const Call call = drafted_rows(request.seed, position);
    SampledToken results[3], entropies[3], fixed[3];
    REQUIRE(sampler.add(0, request).ok());
    REQUIRE(plain.add(0, request).ok());
    REQUIRE(sampler.step(call.logits.data(), call.rows, 3, results, draft.data(), call.model.data()).ok());
    REQUIRE(plain.step(call.model.data(), call.rows, 3, entropies, draft.data()).ok());
    REQUIRE(results[0].entropy == entropies[0].entropy);
    REQUIRE(results[0].policy.temperature == entropies[0].policy.temperature);
    RequestParams at_temperature = request;
    at_temperature.reset_enabled = false;
    at_temperature.sampling.temperature = results[0].policy.temperature;
    REQUIRE(plain.add(0, at_temperature).ok());
    REQUIRE(plain.step(call.logits.data(), call.rows, 3, fixed, draft.data()).ok());
    REQUIRE(results[0].token == fixed[0].token);
    REQUIRE(results[0].logprob == fixed[0].logprob);
    held += results[1].status != reset::RowStatus::kUnused ? 1 : 0;
    low += results[0].policy.high ? 0 : 1;
  }
  CHECK((held > 20 && held < 280));
  CHECK((low > 20 && low < 280));
}

TEST_CASE("options: no rows for the entropy can be said outright") {
  Sampler sampler(make_config(1));
  REQUIRE(sampler.add(0, make_request(3)).ok());
  SampledToken token;
  const std::vector<float> row = logits_at(3, 0);
  CHECK(sampler.sample(0, row.data(), token, nullptr).ok());
}

TEST_CASE("options: a row that is bad in either of its rows is bad") {
  const std::vector<float> good = processed_at(2, 5);
  const std::vector<float> model = logits_at(2, 5);
  const auto best = static_cast<std::int32_t>(std::max_element(good.begin(), good.end()) - good.begin());
  const auto with = [](std::vector<float> row, float x) {
    row[11] = x;
    return row;
  };
  const std::vector<float> empty(kVocabulary, -kInfinity);
  struct Case {
    std::vector<float> row, entropy_row;
    reset::RowStatus status;
    std::int32_t token;
  };
  using reset::RowStatus;
  for (const Case& c :
       {Case{good, with(model, kNaN), RowStatus::kNaN, best},
        Case{good, with(model, kInfinity), RowStatus::kPositiveInfinity, best},
        Case{good, empty, RowStatus::kEmpty, best}, Case{empty, model, RowStatus::kEmpty, 3},
        Case{empty, with(model, kNaN), RowStatus::kEmpty, 3}, Case{with(good, kNaN), empty, RowStatus::kNaN, best}}) {
    Sampler sampler(make_config(1));
    RequestParams request = make_request(2);
    request.reset.t_high = 5.0f;  // a token that is drawn is seldom the highest
    REQUIRE(sampler.add(0, request).ok());
    for (int t = 0; t < 10; ++t) {
      SampledToken token;
      REQUIRE(sampler.sample(0, c.row.data(), token, c.entropy_row.data()).ok());
      CHECK(token.status == c.status);
      CHECK(token.token == c.token);
      CHECK(reset::detail::is_nan(token.entropy));
      CHECK(reset::detail::is_nan(token.logprob));
    }
    CHECK(state_of(sampler, 0).policy.global_count == 0);
  }
}
