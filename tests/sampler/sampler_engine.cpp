// How engines drive the sampler: batches, slots, preemption, refusals.
#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "sampler_requests.hpp"

using namespace sampler_test;

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
  // The peaks of the rows are the tokens: 13 switches the policy on, 17 off, multiples of 5 end steps.
  const std::int32_t tokens[] = {1, 5, 1, 10, 13, 2, 3, 5, 4, 17, 5, 1, 13, 2, 15, 17, 1, 13, 2, 3};
  const std::string active = "-----+++++---+++--++";
  const std::string boundary =
      ".....|..|....|.|....";  // once, where a step begins; a step that waits begins when active
  for (const bool reset_enabled : {true, false}) {
    Sampler sampler(make_config(1), Fives{13, 17});
    RequestParams request = make_request(14);
    request.sampling.temperature = 0.0f;
    request.reset_enabled = reset_enabled;
    REQUIRE(sampler.add(0, request).ok());
    std::int64_t remembered = 0;
    for (std::size_t t = 0; t < active.size(); ++t) {
      std::vector<float> row(kVocabulary, 0.0f);
      row[static_cast<std::size_t>(tokens[t])] = 20.0f;
      SampledToken token;
      REQUIRE(sampler.sample(0, row.data(), token).ok());
      REQUIRE(token.token == tokens[t]);
      CHECK(token.active == (reset_enabled && active[t] == '+'));
      CHECK(token.boundary == (boundary[t] == '|'));
      CHECK((token.policy.temperature == 0.0f) == !token.active);
      remembered += token.active ? 1 : 0;
      CHECK(state_of(sampler, 0).policy.global_count == remembered);
    }
  }
}

TEST_CASE("engine: a state that no request can have is not imported") {
  Sampler sampler(make_config(1));
  REQUIRE(sampler.add(0, make_request(1)).ok());
  SampledToken token;
  for (int t = 0; t < 20; ++t) REQUIRE(sampler.sample(0, logits_at(1, 100 + t).data(), token).ok());
  const Sampler::State good = state_of(sampler, 0);
  const auto refuses = [&](const Sampler::State& state, const char* argument) {
    const reset::Status status = sampler.import_slot(0, state);
    CHECK(status.code() == reset::StatusCode::kInvalidArgument);
    CHECK(std::string(status.argument()) == argument);
    CHECK(same_state(good, state_of(sampler, 0)));
  };
  constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
  Sampler::State bad = good;
  for (const std::int64_t count : {std::int64_t{-1}, reset::kMaxTokenCount + 1, kLargest}) {
    bad = good;
    bad.policy.global_count = count;
    refuses(bad, "global_count");
    bad = good;
    bad.tokens = count;
    refuses(bad, "tokens");
  }
  for (const std::int64_t position : {std::int64_t{-1}, std::numeric_limits<std::int64_t>::min()}) {
    bad = good;
    bad.next_position = position;
    refuses(bad, "next_position");
  }
  for (const std::int32_t last : {-2, kVocabulary}) {
    bad = good;
    bad.last_token = last;
    refuses(bad, "last_token");
  }
  bad = good;
  bad.early_stop.stale = bad.early_stop.steps + 1;
  refuses(bad, "early_stop.stale");
  for (const float none : {kNaN, -kNaN, kInfinity, -0.5f}) {
    bad = good;
    bad.early_stop.sum = static_cast<double>(none);
    refuses(bad, "early_stop.sum");
    bad = good;
    bad.early_stop.lowest = static_cast<double>(none);
    refuses(bad, "early_stop.lowest");
  }
  bad = good;
  bad.policy.ring[3] = -0.5f;
  refuses(bad, "ring");
  bad = good;
  bad.last_token = kVocabulary - 1;
  CHECK(sampler.import_slot(0, bad).ok());
  bad.last_token = reset::kPlaceholderToken;
  bad.policy.global_count = bad.tokens = reset::kMaxTokenCount;
  CHECK(sampler.import_slot(0, bad).ok());
}

TEST_CASE("engine: positions end one below the largest number") {
  Sampler sampler(make_config(1, 2));
  RequestParams request = make_request(1);
  request.first_position = std::numeric_limits<std::int64_t>::max();
  CHECK(std::string(sampler.add(0, request).argument()) == "first_position");
  request.first_position = reset::kMaxPosition;
  REQUIRE(sampler.add(0, request).ok());
  const auto row = logits_at(1, 0);
  SampledToken token;
  REQUIRE(sampler.sample(0, row.data(), token).ok());
  CHECK(state_of(sampler, 0).next_position == std::numeric_limits<std::int64_t>::max());
  // What such a request remembers can be moved like any other's, and samples no more where it has come to.
  const Sampler::State last = state_of(sampler, 0);
  Sampler other(make_config(1, 2));
  REQUIRE(other.add(0, request).ok());
  REQUIRE(other.import_slot(0, last).ok());
  for (Sampler* at_end : {&sampler, &other}) {
    token.token = -99;
    CHECK(std::string(at_end->sample(0, row.data(), token).argument()) == "position");
    CHECK(token.token == -99);
    CHECK(same_state(state_of(*at_end, 0), last));
  }
}

TEST_CASE("engine: the token of a slot's first row is not read") {
  Sampler sampler(make_config(1, 2));
  REQUIRE(sampler.add(0, make_request(1)).ok());
  std::vector<float> logits = logits_at(1, 51);
  append(logits, logits_at(1, 50));
  SampledToken expected[2], results[2];
  const SamplerRow plain[] = {{0, 7, 51}, {0, reset::kPlaceholderToken, 50}};
  REQUIRE(sampler.apply(logits.data(), plain, 2, expected).ok());
  // A prompt may end with a special token behind the columns that are sampled from.
  for (const std::int32_t any : {0, kVocabulary, 151655, -7}) {
    const SamplerRow rows[] = {{0, 7, 51}, {0, any, 50}};
    REQUIRE(sampler.apply(logits.data(), rows, 2, results).ok());
    CHECK(same(results[0], expected[0]));
    CHECK(same(results[1], expected[1]));
  }
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
  refuses({{0, kVocabulary, 6}, {0, -1, 5}}, "token");
  refuses({{0, -1, std::numeric_limits<std::int64_t>::max()}}, "position");
  const auto argument = [](const reset::Status& status) { return std::string(status.argument()); };
  CHECK(argument(sampler.apply(static_cast<const float*>(nullptr), good, 2, results)) == "logits");
  CHECK(argument(sampler.apply(logits.data(), nullptr, 2, results)) == "rows");
  CHECK(argument(sampler.step(logits.data(), good, 2, nullptr)) == "results");

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
