// Speculative decoding: rows that assume drafted tokens, and commits that keep some of them.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "sampler_requests.hpp"

using namespace sampler_test;

namespace {

// A row that all but surely gives `wanted`.
std::vector<float> forced(std::int32_t wanted) {
  std::vector<float> row(kVocabulary, 0.0f);
  row[static_cast<std::size_t>(wanted)] = 20.0f;
  return row;
}

// A slot's memory kept by hand: the token that stands behind each row is told, not guessed.
struct ByHand {
  Fives detector;
  RequestParams request;
  Sampler::State state;

  // The decision of the next row, which enters the history.
  SampledToken judge(const SampledToken& row) {
    SampledToken expected = row;
    expected.active = state.mark.active && request.reset_enabled;
    expected.boundary = state.mark.active && state.mark.boundary;
    expected.policy = {};
    expected.policy.temperature = request.sampling.temperature;
    if (expected.active) {
      expected.policy = reset::reset_step(request.reset, state.policy, row.entropy, state.mark.boundary);
    }
    return expected;
  }

  void follow(const SampledToken& row, std::int32_t token) {
    const bool waiting = state.mark.boundary && !state.mark.active;
    state.mark = detector.observe(state.detector, {token, row.entropy, state.next_position});
    if (!request.detector_enabled) state.mark.boundary = false;
    if (waiting) state.mark.boundary = true;
    state.last_token = token;
    ++state.next_position;
    ++state.tokens;
  }
};

// Rows of slot 0 from `position` on: the first, and one for each draft.
std::vector<SampledToken> apply_drafts(Sampler& sampler, std::uint64_t request, std::int64_t position,
                                       const std::vector<std::int32_t>& drafts) {
  std::vector<float> logits;
  std::vector<SamplerRow> rows;
  for (std::size_t i = 0; i <= drafts.size(); ++i) {
    rows.push_back({0, i == 0 ? reset::kPlaceholderToken : drafts[i - 1], position + static_cast<std::int64_t>(i)});
    append(logits, logits_at(request, rows.back().position));
  }
  std::vector<SampledToken> results(rows.size());
  REQUIRE(sampler.apply(logits.data(), rows.data(), rows.size(), results.data()).ok());
  return results;
}

// What stands behind row i if its draft holds.
std::int32_t drafted(const std::vector<std::int32_t>& drafts, const std::vector<SampledToken>& results, std::size_t i) {
  if (i == drafts.size() || drafts[i] == reset::kPlaceholderToken) return results[i].token;
  return drafts[i];
}

// The state that commit(slot, count) must leave.
Sampler::State committed(ByHand hand, const std::vector<std::int32_t>& drafts, const std::vector<SampledToken>& results,
                         std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    hand.judge(results[i]);
    hand.follow(results[i], i + 1 < count ? drafted(drafts, results, i) : results[i].token);
  }
  return hand.state;
}

// How often a run met what it is meant to test.
struct Met {
  int only_draft_ends = 0, only_sampled_ends = 0, switched_on = 0, switched_off = 0, waited = 0;
};

// One call with random drafts: every row, and every number of accepted ones, against the memory kept by hand.
void check_call(Sampler& sampler, Sampler& single, ByHand& kept, const std::vector<std::int32_t>& drafts,
                std::size_t accepted, Met& met) {
  const std::int64_t position = kept.state.next_position;
  const auto results = apply_drafts(sampler, kept.request.seed, position, drafts);
  REQUIRE(same_state(state_of(sampler, 0), kept.state));  // nothing lasts before commit
  ByHand hand = kept;
  for (std::size_t i = 0; i < results.size(); ++i) {
    // The same row alone, on a slot that has seen the drafts as settled tokens.
    SampledToken alone;
    REQUIRE(single.import_slot(0, hand.state).ok());
    REQUIRE(single.sample(0, logits_at(hand.request.seed, hand.state.next_position).data(), alone).ok());
    REQUIRE(same(results[i], alone));
    const bool waiting = hand.state.mark.boundary && !hand.state.mark.active;
    REQUIRE(same(results[i], hand.judge(results[i])));
    const bool before = hand.state.mark.active;
    const std::int32_t token = drafted(drafts, results, i);
    hand.follow(results[i], token);
    met.only_draft_ends += token % 5 == 0 && results[i].token % 5 != 0 ? 1 : 0;
    met.only_sampled_ends += token % 5 != 0 && results[i].token % 5 == 0 ? 1 : 0;
    met.switched_on += !before && hand.state.mark.active ? 1 : 0;
    met.switched_off += before && !hand.state.mark.active ? 1 : 0;
    met.waited += waiting && hand.state.mark.active ? 1 : 0;
  }
  for (std::size_t count = 0; count <= results.size(); ++count) {
    REQUIRE(sampler.import_slot(0, kept.state).ok());
    apply_drafts(sampler, kept.request.seed, position, drafts);
    REQUIRE(sampler.commit(0, static_cast<std::int32_t>(count)).ok());
    REQUIRE(same_state(state_of(sampler, 0), committed(kept, drafts, results, count)));
  }
  kept.state = committed(kept, drafts, results, accepted);
  REQUIRE(sampler.import_slot(0, kept.state).ok());
}

Met check_random_drafts(Fives detector, bool reset_enabled, bool detector_enabled = true) {
  ByHand kept{detector, make_request(6), {}};
  kept.request.reset_enabled = reset_enabled;
  kept.request.detector_enabled = detector_enabled;
  Sampler sampler(make_config(1, 5), detector), single(make_config(1), detector);
  REQUIRE(sampler.add(0, kept.request).ok());
  REQUIRE(single.add(0, kept.request).ok());
  kept.state = state_of(sampler, 0);
  const std::int32_t pool[] = {reset::kPlaceholderToken, 2, 5, 10, 13, 17, 21, 35};
  std::mt19937 random(8);
  Met met;
  for (int call = 0; call < 80; ++call) {
    std::vector<std::int32_t> drafts(random() % 5);
    for (std::int32_t& draft : drafts) draft = pool[random() % 8];
    const std::size_t accepted = random() % (drafts.size() + 1) + 1;
    check_call(sampler, single, kept, drafts, accepted, met);
  }
  return met;
}

}  // namespace

TEST_CASE("drafts: a row is judged by the drafted token before it, not by the one sampled there") {
  struct Case {
    std::int32_t sampled, drafted;
    bool boundary;
  };
  for (const Case& c : {Case{5, 6, false}, Case{6, 5, true}, Case{5, 10, true}, Case{6, 7, false}}) {
    Sampler sampler(make_config(1, 3));
    REQUIRE(sampler.add(0, make_request(1)).ok());
    SampledToken token;
    for (int t = 0; t < 6; ++t) {
      const std::vector<float> row = forced(t == 3 ? 25 : 1);
      REQUIRE(sampler.sample(0, row.data(), token).ok());
    }
    // Committed: a step of four entropies, and one of two, which the token at position 106 continues.
    const Sampler::State before = state_of(sampler, 0);
    REQUIRE((before.policy.cleared == 1 && before.policy.step_count == 2));
    std::vector<float> logits = forced(c.sampled);
    append(logits, forced(7));
    append(logits, forced(8));
    const SamplerRow rows[] = {{0, -1, 106}, {0, c.drafted, 107}, {0, 7, 108}};
    SampledToken results[3];
    REQUIRE(sampler.apply(logits.data(), rows, 3, results).ok());
    REQUIRE((results[0].token == c.sampled && results[1].token == 7));
    CHECK_FALSE(results[0].boundary);
    CHECK(results[1].boundary == c.boundary);
    CHECK_FALSE(results[2].boundary);

    // The draft is rejected: the sampled token is what the slot has seen.
    REQUIRE(sampler.commit(0, 1).ok());
    CHECK(state_of(sampler, 0).last_token == c.sampled);
    CHECK(state_of(sampler, 0).mark.boundary == (c.sampled % 5 == 0));

    // It is accepted: the draft is.
    REQUIRE(sampler.import_slot(0, before).ok());
    REQUIRE(sampler.apply(logits.data(), rows, 3, results).ok());
    REQUIRE(sampler.commit(0, 3).ok());
    const Sampler::State after = state_of(sampler, 0);
    CHECK(after.policy.global_count == 9);
    CHECK(after.policy.cleared == (c.boundary ? 2 : 1));
    CHECK(after.policy.step_count == (c.boundary ? 2 : 5));
    CHECK(after.last_token == 8);
    Fives::State detector = before.detector;
    const std::int32_t tokens[] = {c.drafted, 7, 8};
    for (int i = 0; i < 3; ++i) Fives{}.observe(detector, {tokens[i], results[i].entropy, 106 + i});
    CHECK(after.detector.digest == detector.digest);
  }
}

TEST_CASE("drafts: a draft switches the policy on and off for the rows behind it") {
  const Fives detector{13, 17};
  Sampler sampler(make_config(1, 6), detector);
  REQUIRE(sampler.add(0, make_request(1)).ok());
  // Every row samples 1; only the drafts end steps and switch.
  const std::int32_t drafts[] = {5, 13, 2, 17, 3};
  std::vector<float> logits;
  std::vector<SamplerRow> rows;
  for (int i = 0; i < 6; ++i) {
    append(logits, forced(1));
    rows.push_back({0, i == 0 ? reset::kPlaceholderToken : drafts[i - 1], 100 + i});
  }
  SampledToken results[6];
  REQUIRE(sampler.apply(logits.data(), rows.data(), 6, results).ok());
  std::string active, boundary;
  for (const SampledToken& result : results) {
    active += result.active ? '+' : '-';
    boundary += result.boundary ? '|' : '.';
  }
  CHECK(active == "--++--");
  CHECK(boundary == "..|...");  // found behind the first row, told by the first active one
  REQUIRE(sampler.commit(0, 6).ok());
  CHECK(state_of(sampler, 0).policy.global_count == 2);
  CHECK_FALSE(state_of(sampler, 0).mark.active);
}

TEST_CASE("drafts: random ones, of which any number holds, leave what the memory kept by hand holds") {
  for (const bool erratic : {true, false}) {
    const Met always = check_random_drafts({-1, -1, erratic}, true);
    CHECK(always.only_draft_ends > 20);
    CHECK(always.only_sampled_ends > 10);
  }
  for (const bool reset_enabled : {true, false}) {
    const Met gated = check_random_drafts({13, 17}, reset_enabled);
    CHECK(gated.only_draft_ends > 20);
    CHECK(gated.only_sampled_ends > 10);
    CHECK(gated.switched_on > 5);
    CHECK(gated.switched_off > 5);
    CHECK(gated.waited > 5);
  }
  const Met off = check_random_drafts({13, 17}, true, false);
  CHECK(off.switched_on > 5);
  CHECK(off.switched_off > 5);
  CHECK(off.waited == 0);
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
  const std::int32_t* none = nullptr;
  CHECK(std::string(sampler.commit(0, none, 2).argument()) == "tokens");
  CHECK(same_state(before, state_of(sampler, 0)));
  const std::int32_t settled[] = {7, 35};
  REQUIRE(sampler.commit(0, settled, 2).ok());
  CHECK(state_of(sampler, 0).last_token == 35);
  CHECK(state_of(sampler, 0).mark.boundary);
  CHECK(state_of(sampler, 0).policy.global_count == 2);
  CHECK(sampler.commit(0, none, 0).ok());
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
