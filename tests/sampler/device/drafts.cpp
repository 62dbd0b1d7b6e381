// Speculative decoding: whatever was drafted, the tokens and the memory are those of one token after the other.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <random>

#include "sampler/device/requests.hpp"
#include "sampler/device/tests.hpp"

namespace device_test {
namespace {

bool same_states(const DeviceSampler::State& a, const DeviceSampler::State& b) {
  return device_test::same_states(a, b, kVocabulary);
}

// `held` of the kRows - 1 drafts are right; the rows of several slots stand in any order.
void test_match(const reset::SamplerDevice& device, bool by_commit, bool rank, int tokens, Verdict& verdict) {
  constexpr int kSlots = 4;
  std::vector<Decoded> truth;
  for (int slot = 0; slot < kSlots; ++slot) truth.push_back(decode_alone(device, slot, tokens, rank));
  Engine engine(device, make_config(kSlots, rank), kSlots * kRows);
  for (int slot = 0; slot < kSlots; ++slot) engine.add(slot, make_request(slot));
  std::vector<std::size_t> done(kSlots, 0);
  std::mt19937 random(11);
  for (int round = 0; *std::min_element(done.begin(), done.end()) < static_cast<std::size_t>(tokens); ++round) {
    struct Planned {
      reset::SamplerRow row;
      int place;
    };
    std::vector<Planned> plan;
    std::vector<int> held(kSlots, 0);
    std::vector<int> rows(kSlots, 0);
    for (int slot = 0; slot < kSlots; ++slot) {
      const std::size_t s = static_cast<std::size_t>(slot);
      const int left = tokens - static_cast<int>(done[s]);
      rows[s] = std::min(left, 1 + static_cast<int>(random() % kRows));
      held[s] = rows[s] == 0 ? 0 : static_cast<int>(random() % static_cast<unsigned>(rows[s]));
      for (int i = 0; i < rows[s]; ++i) {
        std::int32_t drafted = i == 0 ? -1 : truth[s].tokens[done[s] + static_cast<std::size_t>(i) - 1].token;
        if (i > held[s]) drafted = (drafted + 1) % kVocabulary;
        if (i > 0 && i <= held[s] && random() % 4 == 0) drafted = reset::kPlaceholderToken;
        plan.push_back({{slot, drafted, reset::kNextPosition - i}, i});
      }
    }
    std::shuffle(plan.begin(), plan.end(), random);
    std::vector<float> logits;
    std::vector<reset::SamplerRow> call;
    for (const Planned& p : plan) {
      const std::size_t s = static_cast<std::size_t>(p.row.slot);
      const auto row = row_at(p.row.slot, kFirst + static_cast<std::int64_t>(done[s]) + p.place);
      logits.insert(logits.end(), row.begin(), row.end());
      call.push_back(p.row);
    }
    const DeviceArray<float> memory(logits);
    const auto found = by_commit ? engine.apply(memory.data(), call) : engine.step(memory.data(), call);
    for (std::size_t i = 0; i < plan.size(); ++i) {
      const std::size_t s = static_cast<std::size_t>(plan[i].row.slot);
      const std::size_t at = done[s] + static_cast<std::size_t>(plan[i].place);
      if (plan[i].place <= held[s]) {
        verdict.expect(
            same_bits(found[i], truth[s].tokens[at]),
            "round " + std::to_string(round) + ", slot " + std::to_string(s) + ": token " + std::to_string(at));
      } else if (!by_commit) {
        verdict.expect(found[i].status == reset::RowStatus::kUnused && found[i].token == reset::kPlaceholderToken,
                       "rows behind a draft that failed are unused");
      }
    }
    std::vector<std::int32_t> slots;
    std::vector<std::int32_t> counts;
    for (int slot = 0; slot < kSlots; ++slot) {
      const std::size_t s = static_cast<std::size_t>(slot);
      if (rows[s] == 0) continue;
      slots.push_back(slot);
      counts.push_back(held[s] + 1);
      done[s] += static_cast<std::size_t>(held[s]) + 1;
    }
    if (by_commit) engine.commit(slots, counts);
  }
  for (int slot = 0; slot < kSlots; ++slot) {
    verdict.expect(same_states(engine.state(slot), truth[static_cast<std::size_t>(slot)].state),
                   "slot " + std::to_string(slot) + ": the memory is that of one token after the other");
  }
}

// A request moves to another slot of another engine half way; its old slot goes to somebody else at once.
void test_preemption(const reset::SamplerDevice& device, int request, Verdict& verdict) {
  constexpr int kTokens = 60;
  const Decoded truth = decode_alone(device, request, kTokens);
  Engine first(device, make_config(2), 2);
  Engine second(device, make_config(4), 2);
  first.add(0, make_request(request));
  for (int i = 0; i < kTokens; ++i) {
    const DeviceArray<float> logits(row_at(request, kFirst + i));
    if (i == kTokens / 2) {
      const DeviceSampler::State state = first.state(0);
      first.add(0, make_request(7));
      second.add(3, make_request(request));
      second.import_state(3, state);
    }
    Engine& engine = i < kTokens / 2 ? first : second;
    const auto found = engine.step(logits.data(), {{i < kTokens / 2 ? 0 : 3, -1, reset::kNextPosition}});
    verdict.expect(same_bits(found[0], truth.tokens[static_cast<std::size_t>(i)]),
                   "token " + std::to_string(i) + " of a move");
  }
  verdict.expect(same_states(second.state(3), truth.state), "a move leaves no trace");
  DeviceSampler::State bad = truth.state;
  bad.tokens = -1;
  verdict.expect(!import_state(second.device(), 3, bad, nullptr).ok(), "an impossible state is refused");
}

// Commits that a slot cannot take change nothing; parameters change between steps.
void test_commits(const reset::SamplerDevice& device, Verdict& verdict) {
  Engine engine(device, make_config(5), 2 * kRows);
  engine.add(0, make_request(0));
  engine.add(1, make_request(1));
  const DeviceArray<float> logits(row_at(0, 0));
  engine.apply(logits.data(), {{0, -1, reset::kNextPosition}});
  const auto before = engine.state(0);
  const auto other = engine.state(1);
  engine.commit({0, -1}, {2, 1});
  engine.commit({2, 1}, {1, 1});
  engine.commit({1 << 30}, {1});
  engine.commit({0}, {-1});
  engine.commit({0}, {1}, {kVocabulary, 0, 0, 0, 0});
  verdict.expect(same_states(engine.state(0), before) && same_states(engine.state(1), other),
                 "commits that cannot be change nothing");
  engine.commit({0}, {1}, {123, 0, 0, 0, 0});
  verdict.expect(engine.state(0).last_token == 123 && engine.state(0).tokens == 1, "a commit takes the settled token");
  engine.commit({0}, {1});
  verdict.expect(engine.state(0).tokens == 1, "a row is committed once");
  reset::RequestParams greedy = make_request(0);
  greedy.reset_enabled = false;
  greedy.sampling.temperature = 0.0f;
  check(update(engine.device(), 0, greedy, nullptr), "sampler_update");
  const std::vector<float> row = row_at(0, 0);
  const auto found = engine.step(logits.data(), {{0, -1, reset::kNextPosition}});
  const auto best = std::max_element(row.begin(), row.end()) - row.begin();
  verdict.expect(found[0].token == best && engine.state(0).tokens == 2, "parameters change between steps");
}

// Committed entropies are counted, in one place or slot by slot, however they are committed.
void test_quantiles(const reset::SamplerDevice& device, Verdict& verdict) {
  for (const bool per_slot : {false, true}) {
    Engine engine(device, make_config(2), 2);
    DeviceArray<reset::StreamingQuantile> counts(std::vector<reset::StreamingQuantile>(2));
    std::vector<reset::StreamingQuantile> expected(2);
    engine.add(0, make_request(0));
    engine.add(1, make_request(1));
    engine.count_in({counts.data(), per_slot});
    for (int i = 0; i < 50; ++i) {
      std::vector<float> logits = row_at(0, i);
      const std::vector<float> second = row_at(1, i);
      logits.insert(logits.end(), second.begin(), second.end());
      const DeviceArray<float> memory(logits);
      const std::vector<reset::SamplerRow> rows{{0, -1, reset::kNextPosition}, {1, -1, reset::kNextPosition}};
      const auto found = i % 2 == 0 ? engine.step(memory.data(), rows) : engine.apply(memory.data(), rows);
      if (i % 2 != 0) engine.commit({0, 1}, {1, 1});
      for (std::size_t slot = 0; slot < 2; ++slot) {
        if (found[slot].active) expected[per_slot ? slot : 0].add(found[slot].entropy);
      }
    }
    const auto found = counts.download();
    for (std::size_t slot = 0; slot < 2; ++slot) {
      verdict.expect(
          std::equal(std::begin(found[slot].counts), std::end(found[slot].counts), std::begin(expected[slot].counts)),
          "entropies are counted");
    }
  }
}

}  // namespace

int test_drafts(const reset::SamplerDevice& device, bool reduced) {
  Verdict verdict("drafts");
  test_match(device, false, false, reduced ? 20 : 120, verdict);
  test_match(device, true, false, reduced ? 20 : 120, verdict);
  test_match(device, false, true, reduced ? 20 : 120, verdict);
  for (const int request : {1, 2, 3}) test_preemption(device, request, verdict);
  test_commits(device, verdict);
  test_quantiles(device, verdict);
  return verdict.failures();
}

}  // namespace device_test
