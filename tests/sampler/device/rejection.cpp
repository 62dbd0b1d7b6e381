// Drafts by chance: what is accepted, and what takes the place of a draft, is what the host has, but where it hangs on
// less than what either side knows of p.
#include <algorithm>
#include <cmath>
#include <random>

#include "sampler/device/rejection_oracle.hpp"
#include "sampler/device/requests.hpp"
#include "sampler/device/tests.hpp"

namespace device_test {
namespace {

std::size_t stride_of(const reset::SamplerConfig& config) {
  return static_cast<std::size_t>(config.row_stride != 0 ? config.row_stride : config.vocabulary);
}

// What one row is made of, and its place among those of its slot.
struct ChanceRow {
  reset::SamplerRow input;
  std::size_t place;
  std::vector<float> logits;
  std::vector<float> draft;
};

// Rows of a slot with drafts behind most of them, drawn from other distributions.
void add_rows(int round, const reset::SamplerConfig& config, int slot, std::mt19937& random,
              std::vector<ChanceRow>& rows) {
  std::int32_t behind = reset::kPlaceholderToken;
  const int count = config.slots == 1 ? kRows : 2 + static_cast<int>(random() % (kRows - 1));
  for (int i = 0; i < count; ++i) {
    ChanceRow row{{slot, behind, reset::kNextPosition - i}, static_cast<std::size_t>(i), {}, {}};
    row.logits = row_at(round * config.slots + slot, i);
    std::vector<double> weights;
    for (const float x : row.logits) weights.push_back(std::exp(0.8 * static_cast<double>(x)));
    std::discrete_distribution<std::int32_t> guess(weights.begin(), weights.end());
    for (const double p : guess.probabilities()) row.draft.push_back(static_cast<float>(p));
    behind = random() % 4 != 0 ? guess(random) : reset::kPlaceholderToken;
    rows.push_back(std::move(row));
  }
}

// A call of all slots, its rows in any order where `shuffled`; and where those of a slot are, by their places.
template <class T>
struct ChanceCall {
  std::vector<T> logits;
  std::vector<float> draft;
  std::vector<reset::SamplerRow> rows;
  std::vector<std::vector<std::size_t>> of_slot;

  ChanceCall(const reset::SamplerConfig& config, int round, bool shuffled, std::mt19937& random)
      : of_slot(static_cast<std::size_t>(config.slots), std::vector<std::size_t>(kRows)) {
    std::vector<ChanceRow> planned;
    for (int slot = 0; slot < config.slots; ++slot) {
      const std::size_t before = planned.size();
      add_rows(round, config, slot, random, planned);
      of_slot[static_cast<std::size_t>(slot)].resize(planned.size() - before);
    }
    if (shuffled) std::shuffle(planned.begin(), planned.end(), random);
    for (const ChanceRow& row : planned) {
      of_slot[static_cast<std::size_t>(row.input.slot)][row.place] = rows.size();
      rows.push_back(row.input);
      for (const float x : row.logits) logits.push_back(convert<T>(x));
      logits.resize(stride_of(config) * rows.size(), convert<T>(sampler_test::kInfinity));
      draft.insert(draft.end(), row.draft.begin(), row.draft.end());
    }
  }
};

struct ChanceCounts {
  int compared = 0;
  int accepted = 0;
  int replaced = 0;
  int differ = 0;
};

// One slot of a call, as the host takes it: its rows one after the other, from the device's memory before the call.
template <class T>
class HostRows {
 public:
  HostRows(const ChanceCall<T>& call, std::int32_t slot, const reset::SamplerConfig& config,
           const DeviceSampler::State& before)
      : slot_(slot), stride_(stride_of(config)), state_(before) {
    const std::size_t width = static_cast<std::size_t>(config.vocabulary);
    for (const std::size_t index : call.of_slot[static_cast<std::size_t>(slot)]) {
      const auto logits = call.logits.begin() + static_cast<std::ptrdiff_t>(index * stride_);
      const auto draft = call.draft.begin() + static_cast<std::ptrdiff_t>(index * width);
      logits_.insert(logits_.end(), logits, logits + static_cast<std::ptrdiff_t>(stride_));
      draft_.insert(draft_.end(), draft, draft + static_cast<std::ptrdiff_t>(width));
      rows_.push_back(call.rows[index]);
      // The host takes no positions that are relative to a slot's counter.
      rows_.back().position = before.next_position + static_cast<std::int64_t>(rows_.size()) - 1;
    }
  }

  std::size_t count() const { return rows_.size(); }
  std::int32_t drafted_behind(std::size_t i) const {
    return i + 1 < rows_.size() ? rows_[i + 1].token : reset::kPlaceholderToken;
  }
  std::int64_t position(std::size_t i) const { return rows_[i].position; }
  std::vector<float> row(std::size_t i, std::size_t width) const {
    std::vector<float> row;
    for (std::size_t v = 0; v < width; ++v) row.push_back(reset::to_float(logits_[i * stride_ + v]));
    return row;
  }
  const float* draft(std::size_t i, std::size_t width) const { return draft_.data() + i * width; }

  // The rows from `first` on.
  std::vector<reset::SampledToken> step(HostSampler& host, std::size_t first, std::size_t width) {
    check(host.import_slot(slot_, state_), "import_slot");
    std::vector<reset::SampledToken> results(rows_.size() - first);
    check(host.step(logits_.data() + first * stride_, rows_.data() + first, results.size(), results.data(),
                    draft(first, width)),
          "step");
    return results;
  }

  // Rows first..last with the device's tokens instead: what a step from last + 1 goes on from.
  void settle(HostSampler& host, std::size_t first, std::size_t last, const std::vector<std::int32_t>& tokens) {
    check(host.import_slot(slot_, state_), "import_slot");
    std::vector<reset::SampledToken> results(last - first + 1);
    check(host.apply(logits_.data() + first * stride_, rows_.data() + first, results.size(), results.data()), "apply");
    check(host.commit(slot_, tokens.data() + first, static_cast<std::int32_t>(results.size())), "commit");
    check(host.export_slot(slot_, state_), "export_slot");
  }

 private:
  std::int32_t slot_;
  std::size_t stride_;
  DeviceSampler::State state_;
  std::vector<T> logits_;
  std::vector<float> draft_;
  std::vector<reset::SamplerRow> rows_;
};

// Compares one slot's rows; where a token differs and may, the host goes on from the device's.
template <class T>
void compare_slot(Engine& engine, HostRows<T> rows, std::int32_t slot, const reset::RequestParams& request,
                  const std::vector<reset::SampledToken>& found, ChanceCounts& counts, Verdict& verdict) {
  const std::size_t width = static_cast<std::size_t>(engine.device().config().vocabulary);
  std::vector<std::int32_t> tokens;
  for (const auto& result : found) tokens.push_back(result.token);
  std::size_t first = 0;
  bool holds = true;
  std::vector<reset::SampledToken> expected = rows.step(engine.host(), first, width);
  for (std::size_t i = 0; i < rows.count(); ++i) {
    const std::string name = "slot " + std::to_string(slot) + ", row " + std::to_string(i);
    const reset::SampledToken& host = expected[i - first];
    verdict.expect((found[i].status == reset::RowStatus::kOk) == holds, name + ": status");
    if (!holds) continue;
    ++counts.compared;
    const std::int32_t drafted = rows.drafted_behind(i);
    holds = drafted < 0 || drafted == found[i].token;
    if (drafted >= 0) ++(holds ? counts.accepted : counts.replaced);
    verdict.expect(found[i].policy.temperature == host.policy.temperature, name + ": temperature");
    verdict.expect(found[i].stop == host.stop, name + ": stop");
    if (found[i].token == host.token) {
      verdict.expect(found[i].rank == host.rank, name + ": rank");
      continue;
    }
    ++counts.differ;
    const RejectionOracle oracle(rows.row(i, width), host.policy.temperature, request, rows.position(i),
                                 drafted < 0 ? nullptr : rows.draft(i, width), drafted);
    verdict.expect(oracle.may_differ(host.token, found[i].token),
                   name + ": token " + std::to_string(found[i].token) + ", " + std::to_string(host.token));
    rows.settle(engine.host(), first, i, tokens);
    first = i + 1;
    if (holds && first < rows.count()) expected = rows.step(engine.host(), first, width);
  }
  DeviceSampler::State after;
  check(engine.host().export_slot(slot, after), "export_slot");
  const std::string differs = difference(engine.state(slot), after, engine.device().config().vocabulary);
  verdict.expect(differs.empty(), "slot " + std::to_string(slot) + " remembers something else: " + differs);
}

template <class T>
void compare_call(Engine& engine, const ChanceCall<T>& call, const std::vector<reset::RequestParams>& requests,
                  ChanceCounts& counts, Verdict& verdict) {
  const reset::SamplerConfig& config = engine.device().config();
  const DeviceArray<T> memory(call.logits);
  const DeviceArray<float> probabilities(call.draft);
  std::vector<DeviceSampler::State> before;
  for (std::int32_t slot = 0; slot < config.slots; ++slot) before.push_back(engine.state(slot));
  const auto found = engine.step(memory.data(), call.rows, {}, probabilities.data());
  for (std::int32_t slot = 0; slot < config.slots; ++slot) {
    const std::size_t s = static_cast<std::size_t>(slot);
    std::vector<reset::SampledToken> of_slot;
    for (const std::size_t index : call.of_slot[s]) of_slot.push_back(found[index]);
    compare_slot(engine, HostRows<T>(call, slot, config, before[s]), slot, requests[s], of_slot, counts, verdict);
  }
}

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

reset::RequestParams request_of(const Rule& rule, int slot) {
  reset::RequestParams request = make_request(slot);
  request.reset_enabled = rule.temperature == 1.0f;
  request.sampling = {rule.temperature, rule.top_k, rule.top_p, rule.min_p, 0};
  request.early_stop.patience = 2;
  return request;
}

template <class T>
void test_rules(const reset::SamplerDevice& device, int rounds, Verdict& verdict) {
  ChanceCounts total;
  for (const Rule& rule : kRules) {
    const reset::SamplerConfig config = make_config(1, true);
    Engine engine(device, config, kRows);
    const std::vector<reset::RequestParams> requests = {request_of(rule, 0)};
    engine.add(0, requests[0]);
    std::mt19937 random(7);
    ChanceCounts counts;
    for (int round = 0; round < rounds; ++round) {
      compare_call(engine, ChanceCall<T>(config, round, false, random), requests, counts, verdict);
    }
    const bool draws = rule.temperature > 0.0f;
    verdict.expect(!draws || rounds < 50 || (counts.accepted > rounds / 10 && counts.replaced > rounds / 10),
                   "drafts are accepted and replaced at T = " + std::to_string(rule.temperature));
    total.compared += counts.compared;
    total.accepted += counts.accepted;
    total.differ += counts.differ;
  }
  std::printf("rejection: %d rows, %d drafts accepted, %d differ from the host's\n", total.compared, total.accepted,
              total.differ);
  verdict.expect(total.differ * 1000 <= total.compared, "more than 0.1 % differ");
}

// The rows of several slots in any order, with columns behind them that are no tokens: the draft's rows have none.
template <class T>
void test_layout(const reset::SamplerDevice& device, int rounds, Verdict& verdict) {
  reset::SamplerConfig config = make_config(3, true);
  config.row_stride = kVocabulary + 13;
  Engine engine(device, config, 3 * kRows);
  std::vector<reset::RequestParams> requests;
  for (int slot = 0; slot < config.slots; ++slot) {
    requests.push_back(request_of(kRules[2 * slot], slot));
    engine.add(slot, requests.back());
  }
  std::mt19937 random(8);
  ChanceCounts counts;
  for (int round = 0; round < rounds; ++round) {
    compare_call(engine, ChanceCall<T>(config, round, true, random), requests, counts, verdict);
  }
  verdict.expect(rounds < 10 || (counts.accepted > rounds && counts.replaced > rounds / 4),
                 "drafts of several slots are accepted and replaced");
  verdict.expect(counts.differ <= 1, "several slots: more than one token differs");
}

}  // namespace

int test_rejection(const reset::SamplerDevice& device, bool reduced) {
  Verdict verdict("rejection");
  test_rules<float>(device, reduced ? 4 : 100, verdict);
  test_rules<reset::BFloat16>(device, reduced ? 4 : 100, verdict);
  test_layout<float>(device, reduced ? 2 : 40, verdict);
  test_layout<reset::Half>(device, reduced ? 2 : 40, verdict);
  return verdict.failures();
}

}  // namespace device_test
