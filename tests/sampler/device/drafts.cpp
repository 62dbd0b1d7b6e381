// Speculative decoding: whatever was drafted, the tokens and the memory are those of one token after the other.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <random>

#include "sampler/device/harness.hpp"
#include "sampler/device/tests.hpp"

namespace device_test {
namespace {

constexpr std::int32_t kVocabulary = 6000;
constexpr int kRows = 5;  // of a slot in one call

reset::SamplerConfig make_config(int slots, bool rank = false) {
  reset::SamplerConfig config;
  config.vocabulary = kVocabulary;
  config.slots = slots;
  config.rows_per_slot = kRows;
  config.rank = rank;
  return config;
}

reset::RequestParams make_request(int slot) {
  reset::RequestParams request;
  request.reset.tau0 = 1.5f;
  request.reset.t_low = 0.5f;
  request.reset.window = slot % 2 == 0 ? 4 : 32;
  request.sampling.top_p = slot % 3 == 2 ? 0.95f : 1.0f;
  request.sampling.top_k = slot % 4 == 1 ? 3 : 0;  // few enough for a list of the best
  request.sampling.temperature = 0.9f;
  request.seed = static_cast<std::uint64_t>(slot) + 40;
  request.first_position = 10;
  request.early_stop.patience = slot % 3;
  return request;
}

std::vector<float> row_at(int slot, std::int64_t position) {
  std::mt19937 random(static_cast<unsigned>(slot * 9973 + position));
  std::vector<float> row = sampler_test::make_row(kVocabulary, static_cast<unsigned>(random()), 1.5f, 4, 6.0f);
  for (int i = 0; i < 3; ++i) row[random() % 9] += 7.0f;
  std::fill(row.begin() + 2048, row.begin() + 3072, -sampler_test::kInfinity);  // a whole chunk
  return row;
}

// Whether the detectors say the same of what comes next: their states have padding.
bool same_detectors(DeviceSampler::State a, DeviceSampler::State b) {
  const Tables tables(kVocabulary);
  const Detector detector = tables.host();
  std::mt19937 random(5);
  for (int i = 0; i < 200; ++i) {
    const reset::TokenEvent event{static_cast<std::int32_t>(random() % kVocabulary),
                                  static_cast<float>(random() % 64) / 16.0f, 1000 + i};
    const reset::StepMark x = detector.observe(a.detector, event);
    const reset::StepMark y = detector.observe(b.detector, event);
    if (x.boundary != y.boundary || x.active != y.active) return false;
  }
  return true;
}

bool same_states(const DeviceSampler::State& a, const DeviceSampler::State& b) {
  return std::memcmp(a.policy.ring, b.policy.ring, sizeof a.policy.ring) == 0 &&
         a.policy.step_sum == b.policy.step_sum && a.policy.global_sum == b.policy.global_sum &&
         a.policy.step_count == b.policy.step_count && a.policy.global_count == b.policy.global_count &&
         a.policy.cleared == b.policy.cleared && a.mark.boundary == b.mark.boundary && a.mark.active == b.mark.active &&
         a.last_token == b.last_token && a.next_position == b.next_position && a.tokens == b.tokens &&
         a.early_stop.sum == b.early_stop.sum && a.early_stop.count == b.early_stop.count &&
         a.early_stop.stop == b.early_stop.stop && same_detectors(a, b);
}

// One token at a time, the truth for everything below.
std::vector<reset::SampledToken> decode_alone(const reset::SamplerDevice& device, int slot, int count, bool rank,
                                              DeviceSampler::State& state) {
  Engine engine(device, make_config(1, rank), 1);
  engine.add(0, make_request(slot));
  std::vector<reset::SampledToken> tokens;
  for (int i = 0; i < count; ++i) {
    const DeviceArray<float> logits(row_at(slot, 10 + i));
    tokens.push_back(engine.step(logits.data(), {{0, -1, reset::kNextPosition}})[0]);
  }
  state = engine.state(0);
  return tokens;
}

// `held` of the kRows - 1 drafts are right; the rows of several slots stand in any order.
void test_match(const reset::SamplerDevice& device, bool by_commit, bool rank, int tokens, Verdict& verdict) {
  constexpr int kSlots = 3;
  std::vector<std::vector<reset::SampledToken>> truth(kSlots);
  std::vector<DeviceSampler::State> ends(kSlots);
  for (int slot = 0; slot < kSlots; ++slot) {
    const auto s = static_cast<std::size_t>(slot);
    truth[s] = decode_alone(device, slot, tokens, rank, ends[s]);
  }
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
        std::int32_t drafted = i == 0 ? -1 : truth[s][done[s] + static_cast<std::size_t>(i) - 1].token;
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
      const auto row = row_at(p.row.slot, 10 + static_cast<std::int64_t>(done[s]) + p.place);
      logits.insert(logits.end(), row.begin(), row.end());
      call.push_back(p.row);
    }
    const DeviceArray<float> memory(logits);
    const auto found = by_commit ? engine.apply(memory.data(), call) : engine.step(memory.data(), call);
    for (std::size_t i = 0; i < plan.size(); ++i) {
      const std::size_t s = static_cast<std::size_t>(plan[i].row.slot);
      const std::size_t at = done[s] + static_cast<std::size_t>(plan[i].place);
      if (plan[i].place <= held[s]) {
        verdict.expect(same_bits(found[i], truth[s][at]), "round " + std::to_string(round) + ", slot " +
                                                              std::to_string(s) + ": token " + std::to_string(at));
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
    verdict.expect(same_states(engine.state(slot), ends[static_cast<std::size_t>(slot)]),
                   "slot " + std::to_string(slot) + ": the memory is that of one token after the other");
  }
}

// Five rows of one slot, drafts behind some of them, and what these were drawn from.
template <class T>
struct ChanceCall {
  std::vector<T> logits;
  std::vector<float> draft;
  std::vector<reset::SamplerRow> rows;

  ChanceCall(int round, std::mt19937& random) {
    std::int32_t behind = reset::kPlaceholderToken;
    for (int i = 0; i < kRows; ++i) {
      rows.push_back({0, behind, reset::kNextPosition - i});
      const std::vector<float> row = row_at(round, i);
      std::vector<double> weights;
      for (const float x : row) {
        logits.push_back(convert<T>(x));
        weights.push_back(std::exp(0.8 * static_cast<double>(x)));
      }
      std::discrete_distribution<std::int32_t> guess(weights.begin(), weights.end());
      for (const double p : guess.probabilities()) draft.push_back(static_cast<float>(p));
      behind = random() % 4 != 0 ? guess(random) : reset::kPlaceholderToken;
    }
  }
};

// What a slot remembers but for entropies, whose last bits are each side's own.
bool remembers_the_same(const DeviceSampler::State& a, const DeviceSampler::State& b) {
  return a.next_position == b.next_position && a.tokens == b.tokens && a.last_token == b.last_token &&
         a.policy.step_count == b.policy.step_count && a.policy.global_count == b.policy.global_count &&
         a.mark.boundary == b.mark.boundary && a.mark.active == b.mark.active &&
         a.early_stop.count == b.early_stop.count && same_detectors(a, b);
}

struct ChanceCounts {
  int compared = 0;
  int accepted = 0;
  int replaced = 0;
  int differ = 0;
};

// One call on both sides, from the device's memory. Behind a token that differs nothing can be compared.
template <class T>
void compare_chance(Engine& engine, ChanceCall<T> call, ChanceCounts& counts, Verdict& verdict) {
  const DeviceArray<T> memory(call.logits);
  const DeviceArray<float> probabilities(call.draft);
  const DeviceSampler::State before = engine.state(0);
  const auto found = engine.step(memory.data(), call.rows, {}, probabilities.data());
  check(engine.host().import_slot(0, before), "import_slot");
  // The host takes no positions that are relative to a slot's counter.
  for (int i = 0; i < kRows; ++i) call.rows[static_cast<std::size_t>(i)].position = before.next_position + i;
  std::vector<reset::SampledToken> expected(kRows);
  check(engine.host().step(call.logits.data(), call.rows.data(), kRows, expected.data(), call.draft.data()), "step");
  for (std::size_t i = 0; i < kRows; ++i) {
    verdict.expect(found[i].status == expected[i].status, "by chance: status of row " + std::to_string(i));
    if (expected[i].status != reset::RowStatus::kOk) continue;
    ++counts.compared;
    if (found[i].token != expected[i].token) {
      ++counts.differ;
      return;
    }
    verdict.expect(found[i].rank == expected[i].rank, "by chance: rank");
    if (i + 1 == kRows || call.rows[i + 1].token < 0) continue;
    ++(found[i].token == call.rows[i + 1].token ? counts.accepted : counts.replaced);
  }
  DeviceSampler::State after;
  check(engine.host().export_slot(0, after), "export_slot");
  verdict.expect(remembers_the_same(engine.state(0), after), "by chance: what the slot remembers");
}

// Drafts by chance: what is accepted, and what takes the place of a draft, is what the host has, but where p is too
// close to tell.
template <class T>
void test_chance(const reset::SamplerDevice& device, int rounds, Verdict& verdict) {
  struct Rule {
    float temperature;
    std::int32_t top_k;
    float top_p;
    float min_p;
  };
  // The whole row, lists of all sizes, more tokens than a list holds by count and by mass, and argmax.
  constexpr Rule kRules[] = {{1.0f, 0, 1.0f, 0.0f},    {0.6f, 0, 1.0f, 0.0f},  {1.0f, 0, 0.95f, 0.0f},
                             {0.8f, 20, 0.9f, 0.0f},   {0.9f, 0, 1.0f, 0.01f}, {1.5f, 200, 1.0f, 0.0f},
                             {1.5f, 3000, 1.0f, 0.0f}, {9.0f, 0, 0.9f, 0.0f},  {0.0f, 0, 1.0f, 0.0f}};
  ChanceCounts total;
  for (const Rule& rule : kRules) {
    Engine engine(device, make_config(1, true), kRows);
    reset::RequestParams request = make_request(0);
    request.reset_enabled = rule.temperature == 1.0f;
    request.sampling = {rule.temperature, rule.top_k, rule.top_p, rule.min_p, 0};
    engine.add(0, request);
    std::mt19937 random(7);
    ChanceCounts counts;
    for (int round = 0; round < rounds; ++round) compare_chance(engine, ChanceCall<T>(round, random), counts, verdict);
    const bool draws = rule.temperature > 0.0f;
    verdict.expect(!draws || rounds < 50 || (counts.accepted > rounds / 10 && counts.replaced > rounds / 10),
                   "drafts are accepted and replaced at T = " + std::to_string(rule.temperature));
    total.compared += counts.compared;
    total.accepted += counts.accepted;
    total.differ += counts.differ;
  }
  std::printf("drafts: %d by chance, %d accepted, %d differ from the host's\n", total.compared, total.accepted,
              total.differ);
  verdict.expect(total.differ * 1000 <= total.compared, "more than 0.1 % differ");
}

// A request moves to another slot of another engine half way; its old slot goes to somebody else at once.
void test_preemption(const reset::SamplerDevice& device, Verdict& verdict) {
  constexpr int kTokens = 60;
  DeviceSampler::State end;
  const std::vector<reset::SampledToken> truth = decode_alone(device, 1, kTokens, false, end);
  Engine first(device, make_config(2), 2);
  Engine second(device, make_config(4), 2);
  first.add(0, make_request(1));
  for (int i = 0; i < kTokens; ++i) {
    const DeviceArray<float> logits(row_at(1, 10 + i));
    if (i == kTokens / 2) {
      const DeviceSampler::State state = first.state(0);
      first.add(0, make_request(7));
      second.add(3, make_request(1));
      second.import_state(3, state);
    }
    Engine& engine = i < kTokens / 2 ? first : second;
    const auto found = engine.step(logits.data(), {{i < kTokens / 2 ? 0 : 3, -1, reset::kNextPosition}});
    verdict.expect(same_bits(found[0], truth[static_cast<std::size_t>(i)]),
                   "token " + std::to_string(i) + " of a move");
  }
  verdict.expect(same_states(second.state(3), end), "a move leaves no trace");
  DeviceSampler::State bad = end;
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
  test_chance<float>(device, reduced ? 4 : 100, verdict);
  test_chance<reset::BFloat16>(device, reduced ? 4 : 100, verdict);
  test_preemption(device, verdict);
  test_commits(device, verdict);
  test_quantiles(device, verdict);
  return verdict.failures();
}

}  // namespace device_test
