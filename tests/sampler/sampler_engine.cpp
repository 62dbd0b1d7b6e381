// How engines drive the sampler: batches, slots, drafts, preemption.
#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <reset/sampler/boundary/detector.hpp>
#include <reset/sampler/reset_sampler.hpp>

#include "sampler_support.hpp"
#include "support/catch.hpp"

using reset::RequestParams;
using reset::SampledToken;
using reset::SamplerConfig;
using reset::SamplerRow;
using reset::StepMark;
using reset::TokenEvent;

namespace {

constexpr std::int32_t kVocabulary = 40;

// Tokens that are multiples of five end a step, if `enabled_by` has been seen (from the start where it is negative).
struct Fives {
  struct State {
    std::int64_t seen = 0;
    bool on = false;
  };
  std::int32_t enabled_by = -1;
  State initial_state() const { return {0, enabled_by < 0}; }
  bool initially_active() const { return enabled_by < 0; }
  StepMark observe(State& state, const TokenEvent& event) const {
    ++state.seen;
    if (event.token == enabled_by) state.on = true;
    return {event.token % 5 == 0, state.on};
  }
};

using Sampler = reset::ReSETSampler<Fives>;

SamplerConfig make_config(int slots, int rows_per_slot = 1) {
  SamplerConfig config;
  config.vocabulary = kVocabulary;
  config.slots = slots;
  config.rows_per_slot = rows_per_slot;
  return config;
}

RequestParams make_request(std::uint64_t seed) {
  RequestParams request;
  request.reset.tau0 = 2.0f;
  request.reset.t_low = 0.4f;
  request.reset.window = 4;
  request.sampling.top_p = 0.95f;
  request.sampling.fallback_token = 3;
  request.seed = seed;
  request.first_position = 100;
  return request;
}

// The logits a model would give at a position of a request: any function of both.
std::vector<float> logits_at(std::uint64_t request, std::int64_t position) {
  const unsigned seed = static_cast<unsigned>(request * 7919 + static_cast<std::uint64_t>(position));
  return sampler_test::make_row(kVocabulary, seed, 0.5f + static_cast<float>(seed % 5), 1, 4.0f);
}

bool same(const SampledToken& a, const SampledToken& b) {
  return a.token == b.token && a.entropy == b.entropy && a.status == b.status && a.boundary == b.boundary &&
         a.active == b.active && a.policy.temperature == b.policy.temperature &&
         a.policy.threshold == b.policy.threshold && a.policy.step_mean == b.policy.step_mean &&
         a.policy.global_mean == b.policy.global_mean && a.policy.uncertain == b.policy.uncertain &&
         a.policy.high == b.policy.high;
}

// What a request gives when it runs alone, token by token. Asserts nothing, so that threads may call it.
std::vector<SampledToken> run_alone(const RequestParams& request, int count) {
  Sampler sampler(make_config(1));
  reset::throw_if_failed(sampler.add(0, request));
  std::vector<SampledToken> results(static_cast<std::size_t>(count));
  for (int t = 0; t < count; ++t) {
    const auto row = logits_at(request.seed, request.first_position + t);
    reset::throw_if_failed(sampler.sample(0, row.data(), results[static_cast<std::size_t>(t)]));
  }
  return results;
}

void append(std::vector<float>& logits, const std::vector<float>& row) {
  logits.insert(logits.end(), row.begin(), row.end());
}

// A state's bytes that carry meaning.
bool same_state(const Sampler::State& a, const Sampler::State& b) {
  return std::memcmp(a.policy.ring, b.policy.ring, sizeof a.policy.ring) == 0 &&
         a.policy.step_sum == b.policy.step_sum && a.policy.global_sum == b.policy.global_sum &&
         a.policy.step_count == b.policy.step_count && a.policy.global_count == b.policy.global_count &&
         a.policy.cleared == b.policy.cleared && a.detector.seen == b.detector.seen &&
         a.mark.boundary == b.mark.boundary && a.mark.active == b.mark.active && a.last_token == b.last_token &&
         a.next_position == b.next_position && a.tokens == b.tokens;
}

Sampler::State state_of(const Sampler& sampler, std::int32_t slot) {
  Sampler::State state;
  REQUIRE(sampler.export_slot(slot, state).ok());
  return state;
}

}  // namespace

TEST_CASE("batch: an empty one is nothing") {
  Sampler sampler(make_config(2));
  CHECK(sampler.apply(static_cast<const float*>(nullptr), nullptr, 0, nullptr).ok());
}

TEST_CASE("batch: rows in any order, of any slots, give what each request gives alone") {
  constexpr int kRequests = 7, kTokens = 60;
  std::vector<std::vector<SampledToken>> alone;
  for (std::uint64_t r = 0; r < kRequests; ++r) alone.push_back(run_alone(make_request(r), kTokens));

  Sampler sampler(make_config(11));
  const std::int32_t slot_of[kRequests] = {10, 3, 0, 7, 1, 2, 9};
  for (std::uint64_t r = 0; r < kRequests; ++r) REQUIRE(sampler.add(slot_of[r], make_request(r)).ok());
  std::mt19937 random(5);
  std::vector<std::size_t> order = {0, 1, 2, 3, 4, 5, 6};
  std::vector<int> position(kRequests, 0);
  int uncertain = 0, boundaries = 0;
  for (int call = 0; call < 400; ++call) {
    std::shuffle(order.begin(), order.end(), random);
    const std::size_t size = random() % (kRequests + 1);
    std::vector<float> logits;
    std::vector<SamplerRow> rows;
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t r = order[i];
      if (position[r] == kTokens) continue;
      append(logits, logits_at(r, 100 + position[r]));
      rows.push_back({slot_of[r], reset::kPlaceholderToken, 100 + position[r]});
    }
    std::vector<SampledToken> results(rows.size());
    REQUIRE(sampler.apply(logits.data(), rows.data(), rows.size(), results.data()).ok());
    std::size_t n = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t r = order[i];
      if (position[r] == kTokens) continue;
      REQUIRE(same(results[n++], alone[r][static_cast<std::size_t>(position[r])]));
      REQUIRE(sampler.commit(slot_of[r], 1).ok());
      uncertain += results[n - 1].policy.uncertain ? 1 : 0;
      boundaries += results[n - 1].boundary ? 1 : 0;
      ++position[r];
    }
  }
  CHECK(std::count(position.begin(), position.end(), kTokens) == kRequests);
  CHECK(uncertain > 10);
  CHECK(boundaries > 10);
}

TEST_CASE("batch: a slot is reused without removal as if it were new") {
  Sampler sampler(make_config(1, 4));
  REQUIRE(sampler.add(0, make_request(1)).ok());
  SampledToken token;
  for (int t = 0; t < 30; ++t) REQUIRE(sampler.sample(0, logits_at(1, t).data(), token).ok());
  const auto row = logits_at(1, 30);
  const SamplerRow pending{0, -1, 130};
  REQUIRE(sampler.apply(row.data(), &pending, 1, &token).ok());
  REQUIRE(sampler.add(0, make_request(2)).ok());
  CHECK(sampler.commit(0, 1).code() == reset::StatusCode::kInvalidArgument);  // the old request's row is gone
  const auto expected = run_alone(make_request(2), 30);
  for (int t = 0; t < 30; ++t) {
    REQUIRE(sampler.sample(0, logits_at(2, 100 + t).data(), token).ok());
    REQUIRE(same(token, expected[static_cast<std::size_t>(t)]));
  }
}

TEST_CASE("batch: enabled and disabled requests mix") {
  Sampler sampler(make_config(2));
  RequestParams plain = make_request(4);
  plain.reset_enabled = false;
  plain.sampling.temperature = 0.7f;
  REQUIRE(sampler.add(0, make_request(3)).ok());
  REQUIRE(sampler.add(1, plain).ok());
  const auto expected = run_alone(make_request(3), 40);
  for (int t = 0; t < 40; ++t) {
    std::vector<float> logits = logits_at(4, 100 + t);
    append(logits, logits_at(3, 100 + t));
    const SamplerRow rows[] = {{1, -1, 100 + t}, {0, -1, 100 + t}};
    SampledToken results[2];
    REQUIRE(sampler.apply(logits.data(), rows, 2, results).ok());
    REQUIRE(same(results[1], expected[static_cast<std::size_t>(t)]));
    CHECK_FALSE(results[0].active);
    CHECK(results[0].policy.temperature == 0.7f);
    CHECK(sampler_test::close(static_cast<double>(results[0].entropy),
                              sampler_test::oracle_entropy(logits_at(4, 100 + t)), 1e-5));
    REQUIRE(sampler.commit(0, 1).ok());
    REQUIRE(sampler.commit(1, 1).ok());
  }
  CHECK(state_of(sampler, 1).policy.global_count == 0);
  CHECK(state_of(sampler, 1).tokens == 40);
}

TEST_CASE("drafts: 0 to K accepted ones leave what token-by-token sampling leaves") {
  constexpr int kDrafts = 4, kTokens = 120;
  const RequestParams request = make_request(6);
  const auto expected = run_alone(request, kTokens);
  Sampler plain(make_config(1)), sampler(make_config(3, kDrafts + 1));
  REQUIRE(plain.add(0, request).ok());
  REQUIRE(sampler.add(2, request).ok());
  std::mt19937 random(3);
  int t = 0;
  while (t + kDrafts < kTokens) {
    // The first `good` drafts are what the target will sample; the next one is wrong.
    const int good = static_cast<int>(random() % (kDrafts + 1));
    std::vector<SamplerRow> rows;
    for (int i = 0; i <= kDrafts; ++i) {
      std::int32_t input = i == 0 ? -1 : expected[static_cast<std::size_t>(t + i - 1)].token;
      if (i > good) input = (input + 1) % kVocabulary;
      rows.push_back({2, input, 100 + t + i});
    }
    std::shuffle(rows.begin(), rows.end(), random);
    std::vector<float> logits;
    for (const SamplerRow& row : rows) append(logits, logits_at(6, row.position));
    std::vector<SampledToken> results(rows.size());
    const Sampler::State before = state_of(sampler, 2);
    REQUIRE(sampler.apply(logits.data(), rows.data(), rows.size(), results.data()).ok());
    CHECK(same_state(before, state_of(sampler, 2)));  // nothing lasts before commit
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::int64_t place = rows[i].position - 100 - t;
      if (place > good) continue;
      REQUIRE(same(results[i], expected[static_cast<std::size_t>(t + place)]));
    }
    REQUIRE(sampler.commit(2, good + 1).ok());
    SampledToken token;
    for (int i = 0; i <= good; ++i) REQUIRE(plain.sample(0, logits_at(6, 100 + t + i).data(), token).ok());
    REQUIRE(same_state(state_of(plain, 0), state_of(sampler, 2)));
    t += good + 1;
  }
}

TEST_CASE("drafts: the engine may settle on tokens of its own") {
  Sampler sampler(make_config(1, 3));
  REQUIRE(sampler.add(0, make_request(8)).ok());
  std::vector<float> logits;
  for (int i = 0; i < 3; ++i) append(logits, logits_at(8, i));
  const SamplerRow rows[] = {{0, -1, 0}, {0, 7, 1}, {0, 9, 2}};
  SampledToken results[3];
  REQUIRE(sampler.apply(logits.data(), rows, 3, results).ok());
  const std::int32_t bad[] = {7, kVocabulary};
  const Sampler::State before = state_of(sampler, 0);
  CHECK(std::string(sampler.commit(0, bad, 2).argument()) == "token");
  CHECK(same_state(before, state_of(sampler, 0)));
  const std::int32_t settled[] = {7, 35};
  REQUIRE(sampler.commit(0, settled, 2).ok());
  CHECK(state_of(sampler, 0).last_token == 35);
  CHECK(state_of(sampler, 0).mark.boundary);
  CHECK(state_of(sampler, 0).policy.global_count == 2);
}

TEST_CASE("drafts: a placeholder stands for the token that the row before has sampled") {
  const RequestParams request = make_request(9);
  const auto expected = run_alone(request, 40);
  Sampler sampler(make_config(1, 8));
  REQUIRE(sampler.add(0, request).ok());
  for (int t = 0; t < 40; t += 8) {
    std::vector<float> logits;
    std::vector<SamplerRow> rows;
    for (int i = 0; i < 8; ++i) {
      append(logits, logits_at(9, 100 + t + i));
      rows.push_back({0, reset::kPlaceholderToken, 100 + t + i});
    }
    std::vector<SampledToken> results(8);
    REQUIRE(sampler.apply(logits.data(), rows.data(), 8, results.data()).ok());
    for (int i = 0; i < 8; ++i) {
      REQUIRE(same(results[static_cast<std::size_t>(i)], expected[static_cast<std::size_t>(t + i)]));
    }
    REQUIRE(sampler.commit(0, 8).ok());
  }
  CHECK(state_of(sampler, 0).last_token == expected.back().token);
}

TEST_CASE("engine: a replay gives the same tokens, the next position gives new random numbers") {
  Sampler sampler(make_config(1));
  RequestParams request = make_request(10);
  request.sampling.top_p = 1.0f;
  REQUIRE(sampler.add(0, request).ok());
  const std::vector<float> flat(kVocabulary, 0.0f);
  std::vector<std::int32_t> tokens;
  for (std::int64_t position = 0; position < 60; ++position) {
    SampledToken first, again;
    const SamplerRow row{0, -1, position};
    REQUIRE(sampler.apply(flat.data(), &row, 1, &first).ok());
    REQUIRE(sampler.apply(flat.data(), &row, 1, &again).ok());
    REQUIRE(same(first, again));
    tokens.push_back(first.token);
  }
  std::sort(tokens.begin(), tokens.end());
  CHECK(std::unique(tokens.begin(), tokens.end()) - tokens.begin() > 20);
  CHECK(state_of(sampler, 0).tokens == 0);
}

TEST_CASE("engine: preempted and resumed elsewhere, a request goes on as if nothing had been") {
  const RequestParams request = make_request(12);
  const auto expected = run_alone(request, 100);
  Sampler first(make_config(2)), second(make_config(5));
  REQUIRE(first.add(1, request).ok());
  SampledToken token;
  for (int t = 0; t < 47; ++t) REQUIRE(first.sample(1, logits_at(12, 100 + t).data(), token).ok());
  Sampler::State bytes;
  const Sampler::State exported = state_of(first, 1);
  std::memcpy(&bytes, &exported, sizeof bytes);
  REQUIRE(second.add(4, make_request(77)).ok());
  REQUIRE(second.add(4, request).ok());
  REQUIRE(second.import_slot(4, bytes).ok());
  for (int t = 47; t < 100; ++t) {
    REQUIRE(second.sample(4, logits_at(12, 100 + t).data(), token).ok());
    REQUIRE(same(token, expected[static_cast<std::size_t>(t)]));
  }
  bytes.policy.step_count = -3;
  CHECK(std::string(second.import_slot(4, bytes).argument()) == "step_count");
  bytes = exported;
  bytes.next_position = -1;
  CHECK(std::string(second.import_slot(4, bytes).argument()) == "next_position");
  CHECK(state_of(second, 4).tokens == 100);
  CHECK_FALSE(second.export_slot(0, bytes).ok());
  CHECK_FALSE(second.import_slot(0, exported).ok());
}

TEST_CASE("engine: two samplers in two threads do not disturb each other") {
  std::vector<SampledToken> found[2];
  std::thread threads[2];
  for (std::size_t i = 0; i < 2; ++i) {
    threads[i] = std::thread([i, &found] { found[i] = run_alone(make_request(20 + i), 500); });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < 2; ++i) {
    const auto expected = run_alone(make_request(20 + i), 500);
    REQUIRE(std::equal(expected.begin(), expected.end(), found[i].begin(), found[i].end(), same));
  }
}

TEST_CASE("engine: while the detector is inactive the plain temperature rules and no entropy is remembered") {
  Fives detector;
  detector.enabled_by = 13;
  Sampler sampler(make_config(1), detector);
  RequestParams request = make_request(14);
  request.sampling.temperature = 0.0f;
  REQUIRE(sampler.add(0, request).ok());
  const auto force = [&](std::int32_t wanted) {
    std::vector<float> row(kVocabulary, 0.0f);
    row[static_cast<std::size_t>(wanted)] = 20.0f;
    SampledToken token;
    REQUIRE(sampler.sample(0, row.data(), token).ok());
    return token;
  };
  CHECK_FALSE(force(1).active);
  CHECK_FALSE(force(5).active);   // a boundary for nobody yet
  CHECK_FALSE(force(13).active);  // the token itself is still sampled inactively
  CHECK(state_of(sampler, 0).policy.global_count == 0);
  const SampledToken first = force(2);
  CHECK(first.active);
  CHECK(first.boundary);  // it has waited
  CHECK_FALSE(force(3).boundary);
  CHECK(state_of(sampler, 0).policy.global_count == 2);
}

TEST_CASE("engine: calls that are refused change nothing") {
  Sampler sampler(make_config(3, 2));
  REQUIRE(sampler.add(0, make_request(1)).ok());
  REQUIRE(sampler.add(1, make_request(2)).ok());
  std::vector<float> logits;
  for (int i = 0; i < 4; ++i) append(logits, logits_at(1, i));
  const SamplerRow good[] = {{0, -1, 50}, {0, 4, 51}};
  SampledToken results[4];
  REQUIRE(sampler.apply(logits.data(), good, 2, results).ok());
  const SampledToken kept = results[0];

  const auto refuses = [&](std::vector<SamplerRow> rows, const char* argument) {
    SampledToken poisoned[4];
    for (SampledToken& token : poisoned) token.token = -99;
    const reset::Status status = sampler.apply(logits.data(), rows.data(), rows.size(), poisoned);
    CHECK(std::string(status.argument()) == argument);
    for (const SampledToken& token : poisoned) CHECK(token.token == -99);
  };
  refuses({{0, -1, 50}, {2, -1, 0}}, "slot");  // nobody has been added there
  refuses({{0, -1, 50}, {3, -1, 0}}, "slot");
  refuses({{-1, -1, 50}}, "slot");
  refuses({{1, -1, -1}}, "position");
  refuses({{1, -1, 5}, {1, -1, 5}}, "position");
  refuses({{0, -1, 5}, {0, 2, 7}}, "position");
  refuses({{0, -1, 5}, {0, 2, std::numeric_limits<std::int64_t>::max()}}, "position");
  refuses({{0, -1, 5}, {0, 2, 6}, {0, 3, 7}}, "rows of one slot");
  refuses({{0, -1, 5}, {0, kVocabulary, 6}}, "token");
  refuses({{0, -1, 5}, {0, -2, 6}}, "token");
  CHECK_FALSE(sampler.apply(static_cast<const float*>(nullptr), good, 2, results).ok());

  // The rows applied before are still there to be committed.
  CHECK_FALSE(sampler.commit(0, 3).ok());
  CHECK_FALSE(sampler.commit(0, -1).ok());
  CHECK_FALSE(sampler.commit(2, 0).ok());
  REQUIRE(sampler.commit(0, 1).ok());
  CHECK(state_of(sampler, 0).last_token == kept.token);
  CHECK(state_of(sampler, 0).next_position == 51);
  CHECK_FALSE(sampler.commit(0, 1).ok());  // once only
  CHECK(sampler.commit(0, 0).ok());
}

TEST_CASE("engine: every decision is told") {
  const auto tokens = run_alone(make_request(30), 300);
  int high = 0, low = 0, uncertain = 0, boundaries = 0;
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    const SampledToken& token = tokens[t];
    REQUIRE(token.active);
    CHECK(token.boundary == (t > 0 && tokens[t - 1].token % 5 == 0));
    CHECK(token.policy.temperature == (token.policy.high ? 1.0f : 0.4f));
    CHECK(token.policy.high == !(static_cast<double>(token.entropy) < token.policy.threshold));
    CHECK(token.policy.threshold == (token.policy.uncertain ? token.policy.step_mean : 2.0));
    high += token.policy.high ? 1 : 0;
    low += token.policy.high ? 0 : 1;
    uncertain += token.policy.uncertain ? 1 : 0;
    boundaries += token.boundary ? 1 : 0;
  }
  CHECK(high > 30);
  CHECK(low > 30);
  CHECK(uncertain > 30);
  CHECK(boundaries > 30);
}
