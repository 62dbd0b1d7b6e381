// Entropies of rows of their own: to the bit those of a call on these rows, while everything else is that of a call on
// the others at the temperature that comes of them.
#include <algorithm>
#include <cmath>
#include <iterator>

#include "sampler/device/harness.hpp"
#include "sampler/device/tests.hpp"

namespace device_test {
namespace {

using sampler_test::kInfinity;
using sampler_test::kNaN;

constexpr std::int32_t kSlots = 6;

reset::SamplerConfig make_config(std::int32_t vocabulary, bool entropy_logits, std::int32_t rows_per_slot = 1) {
  reset::SamplerConfig config;
  config.vocabulary = vocabulary;
  config.row_stride = vocabulary + 5;
  config.slots = kSlots;
  config.rows_per_slot = rows_per_slot;
  config.rank = true;
  config.entropy_logits = entropy_logits;
  return config;
}

// By slot: the whole row, a list of the best, and a cut that no list holds. No top-p: its cut may fall elsewhere by
// what a pass at other temperatures rounds.
reset::RequestParams make_request(int slot) {
  reset::RequestParams request;
  request.reset.tau0 = 2.5f;
  request.reset.t_low = slot % 2 == 0 ? 0.4f : 0.0f;
  request.reset.t_high = slot == 4 ? 1.3f : 1.0f;
  request.sampling.top_k = slot % 3 == 0 ? 0 : slot % 3 == 1 ? 20 : 300;
  request.sampling.min_p = slot % 3 == 2 ? 1e-4f : 0.0f;
  request.sampling.fallback_token = 7;
  request.seed = static_cast<std::uint64_t>(slot) + 400;
  request.early_stop.patience = 2;
  return request;
}

// A model's row, every other one sure of few tokens, and what an engine makes of it.
std::vector<float> model_row(std::int32_t vocabulary, int slot, int time) {
  const float spread = 0.3f + 0.5f * static_cast<float>((slot + time) % 5);
  const float height = (slot + time) % 2 == 0 ? 7.0f : 24.0f;
  const auto seed = static_cast<unsigned>(97 * slot + time);
  return sampler_test::make_row(static_cast<std::size_t>(vocabulary), seed, spread, 3, height);
}
std::vector<float> processed(std::vector<float> row, int time) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    if ((i + static_cast<std::size_t>(time)) % 4 == 0) row[i] = -kInfinity;
    if (i % 5 == 0) row[i] = 0.25f * row[i] + 1.0f;
  }
  return row;
}

std::int32_t best_of(const std::vector<float>& row) {
  return static_cast<std::int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

// Rows behind each other, `stride` apart, with NaN between them, which is not read.
template <class T>
std::vector<T> together(const std::vector<std::vector<float>>& rows, std::int64_t stride) {
  std::vector<T> memory(rows.size() * static_cast<std::size_t>(stride), convert<T>(kNaN));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::vector<T> row = convert<T>(rows[i]);
    std::copy(row.begin(), row.end(), memory.begin() + static_cast<std::ptrdiff_t>(i) * stride);
  }
  return memory;
}

template <class T>
std::vector<reset::SampledToken> step_with(Engine& engine, const T* logits, const T* entropy_logits,
                                           const std::vector<reset::SamplerRow>& rows,
                                           const reset::SamplerLaunch& options = {}, const float* draft = nullptr) {
  return engine.run(logits, rows, [&](reset::SamplerCall<T> call) {
    call.entropy_logits = entropy_logits;
    call.draft_probabilities = draft;
    return device_test::step(engine.device(), call, options, nullptr);
  });
}

bool equal(float a, float b) { return reset::detail::bits_of(a) == reset::detail::bits_of(b); }

// A slot whose temperature is told.
reset::RequestParams at_temperature(reset::RequestParams request, float temperature) {
  request.reset_enabled = false;
  request.sampling.temperature = temperature;
  return request;
}

// Tokens of all slots, however the work is cut: against a sampler that sees the model's rows alone, one that sees the
// others alone, and the host.
template <class T>
void test_rows_of_type(const reset::SamplerDevice& device, std::int32_t vocabulary, int tokens, Verdict& verdict) {
  Engine both(device, make_config(vocabulary, true), kSlots);
  Engine model(device, make_config(vocabulary, false), kSlots);
  Engine fixed(device, make_config(vocabulary, false), kSlots);
  std::vector<reset::SamplerRow> rows;
  for (int slot = 0; slot < kSlots; ++slot) {
    both.add(slot, make_request(slot));
    rows.push_back({slot, -1, 0});
  }
  int low = 0;
  for (int time = 0; time < tokens; ++time) {
    std::vector<std::vector<float>> raw, others;
    for (int slot = 0; slot < kSlots; ++slot) {
      raw.push_back(model_row(vocabulary, slot, time));
      others.push_back(processed(raw.back(), time));
      rows[static_cast<std::size_t>(slot)].position = time;
      // The same memory, so that the policies see the same.
      model.add(slot, make_request(slot));
      model.import_state(slot, both.state(slot));
    }
    const std::int64_t stride = vocabulary + 5;
    const std::vector<T> raw_rows = together<T>(raw, stride);
    const std::vector<T> other_rows = together<T>(others, stride);
    const DeviceArray<T> raw_memory(raw_rows);
    const DeviceArray<T> other_memory(other_rows);
    const reset::SamplerPolicy policies[] = {{0, 0}, {1, 1}, {3, 1}, {2, 4}, {256, 4}};
    const reset::SamplerLaunch options{false, policies[time % 5]};
    const auto plain = model.step(raw_memory.data(), rows);
    const auto found = step_with(both, other_memory.data(), raw_memory.data(), rows, options);
    for (int slot = 0; slot < kSlots; ++slot) {
      fixed.add(slot, at_temperature(make_request(slot), found[static_cast<std::size_t>(slot)].policy.temperature));
    }
    const auto drawn = fixed.step(other_memory.data(), rows);
    for (std::size_t s = 0; s < kSlots; ++s) {
      const std::string name = "slot " + std::to_string(s) + ", token " + std::to_string(time);
      verdict.expect(equal(found[s].entropy, plain[s].entropy), name + ": entropy of the model's row");
      verdict.expect(found[s].policy.temperature == plain[s].policy.temperature &&
                         found[s].policy.threshold == plain[s].policy.threshold,
                     name + ": policy by the model's row");
      verdict.expect(found[s].status == reset::RowStatus::kOk && found[s].token == drawn[s].token &&
                         equal(found[s].logprob, drawn[s].logprob) && found[s].rank == drawn[s].rank,
                     name + ": token, logprob and rank of the other row");
      reset::SampledToken expected;
      const std::size_t offset = s * static_cast<std::size_t>(stride);
      check(both.host().sample(rows[s].slot, &other_rows[offset], expected, &raw_rows[offset]), "sample");
      const bool near = std::fabs(static_cast<double>(expected.entropy) - expected.policy.threshold) < 1e-5;
      verdict.expect(std::fabs(found[s].entropy - expected.entropy) <= 2e-6f * std::fmax(1.0f, expected.entropy),
                     name + ": the host's entropy");
      verdict.expect(near || found[s].token == expected.token, name + ": the host's token");
      low += found[s].policy.high ? 0 : 1;
      check(both.host().import_slot(rows[s].slot, both.state(rows[s].slot)), "import_slot");
    }
  }
  verdict.expect(low > 0 && low < kSlots * tokens, "both temperatures are met");
}

// Rows with drafts, matched and by chance, are those of one after the other.
void test_drafted(const reset::SamplerDevice& device, Verdict& verdict) {
  constexpr std::int32_t kVocabulary = 3000;
  constexpr int kRows = 4;
  const std::int64_t stride = kVocabulary + 5;
  Engine alone(device, make_config(kVocabulary, true), 1);
  Engine drafted(device, make_config(kVocabulary, true, kRows), kRows);
  alone.add(0, make_request(0));
  drafted.add(0, make_request(0));
  int held = 0;
  for (int time = 0; time < 60;) {
    std::vector<std::vector<float>> raw, others;
    std::vector<reset::SamplerRow> rows;
    std::int32_t behind = -1;  // of the first row it is not read
    for (int i = 0; i < kRows; ++i) {
      raw.push_back(model_row(kVocabulary, 0, time + i));
      others.push_back(processed(raw.back(), time + i));
      rows.push_back({0, behind, time + i});
      behind = best_of(others.back());
    }
    const DeviceArray<float> raw_memory(together<float>(raw, stride));
    const DeviceArray<float> other_memory(together<float>(others, stride));
    const auto found = step_with(drafted, other_memory.data(), raw_memory.data(), rows);
    for (std::size_t i = 0; i < kRows && found[i].status != reset::RowStatus::kUnused; ++i, ++time) {
      const auto offset = static_cast<std::ptrdiff_t>(i) * stride;
      const auto expected = step_with(alone, other_memory.data() + offset, raw_memory.data() + offset, {{0, -1, time}});
      verdict.expect(found[i].token == expected[0].token && equal(found[i].entropy, expected[0].entropy) &&
                         equal(found[i].logprob, expected[0].logprob) &&
                         found[i].policy.temperature == expected[0].policy.temperature,
                     "drafts: token " + std::to_string(time));
      held += i > 0 ? 1 : 0;
    }
  }
  verdict.expect(held > 5, "drafts hold now and then");
  // By chance, at the temperature that the model's row gives.
  Engine fixed(device, make_config(kVocabulary, false, 2), 2);
  const DeviceArray<float> draft(std::vector<float>(2 * kVocabulary, 0.7f));
  for (int time = 0; time < 60; ++time) {
    const std::vector<float> raw = model_row(kVocabulary, 1, time);
    const std::vector<float> other = processed(raw, time);
    const DeviceArray<float> raw_memory(together<float>({raw, raw}, stride));
    const DeviceArray<float> other_memory(together<float>({other, other}, stride));
    const std::vector<reset::SamplerRow> rows = {{0, -1, time}, {0, best_of(other), time + 1}};
    drafted.add(0, make_request(0));
    const auto found = step_with(drafted, other_memory.data(), raw_memory.data(), rows, {}, draft.data());
    fixed.add(0, at_temperature(make_request(0), found[0].policy.temperature));
    const auto expected = fixed.step(other_memory.data(), rows, {}, draft.data());
    verdict.expect(found[0].token == expected[0].token && found[1].status == expected[1].status,
                   "by chance: token " + std::to_string(time));
  }
}

// A row that is bad in either is bad, alone and among a slot's rows; what a refused row left counts in no later call.
void test_bad(const reset::SamplerDevice& device, Verdict& verdict) {
  using reset::RowStatus;
  constexpr std::int32_t kVocabulary = 2500;
  const std::int64_t stride = kVocabulary + 5;
  const std::vector<float> good = processed(model_row(kVocabulary, 0, 0), 0);
  const std::vector<float> raw = model_row(kVocabulary, 0, 0);
  const std::vector<float> empty(kVocabulary, -kInfinity);
  std::vector<float> with_nan = raw;
  with_nan[1500] = kNaN;
  std::vector<float> with_infinity = raw;
  with_infinity.back() = kInfinity;
  const std::int32_t best = best_of(good);
  struct Case {
    const std::vector<float>& row;
    const std::vector<float>& entropy_row;
    RowStatus status;
    std::int32_t token;
  };
  const Case cases[] = {{good, with_nan, RowStatus::kNaN, best},
                        {good, with_infinity, RowStatus::kPositiveInfinity, best},
                        {good, empty, RowStatus::kEmpty, best},
                        {empty, raw, RowStatus::kEmpty, 7},
                        {empty, with_nan, RowStatus::kEmpty, 7}};
  for (const Case& c : cases) {
    for (int slot = 0; slot < 2; ++slot) {  // a whole row, and a list
      Engine engine(device, make_config(kVocabulary, true, 3), 3);
      reset::RequestParams request = make_request(slot);
      request.reset.t_high = 4.0f;  // a token that is drawn is seldom the highest
      engine.add(0, request);
      const DeviceArray<float> logits(together<float>({c.row, good, c.row}, stride));
      const DeviceArray<float> entropies(together<float>({c.entropy_row, raw, c.entropy_row}, stride));
      const auto found = step_with(engine, logits.data(), entropies.data(), {{0, -1, 0}, {0, -1, 1}, {0, -1, 2}});
      const auto alone = step_with(engine, logits.data(), entropies.data(), {{0, -1, 3}});
      for (const reset::SampledToken& token : {found[0], found[2], alone[0]}) {
        verdict.expect(token.status == c.status && token.token == c.token, "bad row: status and token");
        verdict.expect(reset::detail::is_nan(token.entropy) && reset::detail::is_nan(token.logprob),
                       "bad row: entropy and logprob");
      }
      verdict.expect(found[1].status == RowStatus::kOk && engine.state(0).policy.global_count == 1, "bad row: history");
    }
  }
  Engine engine(device, make_config(kVocabulary, true), 1);
  Engine plain(device, make_config(kVocabulary, false), 1);
  const DeviceArray<float> logits(together<float>({good}, stride));
  const DeviceArray<float> entropies(together<float>({raw}, stride));
  const DeviceArray<float> bad(together<float>({with_nan}, stride));
  for (int time = 0; time < 4; ++time) {
    engine.add(0, make_request(0));
    plain.add(0, make_request(0));
    const auto refused = step_with(engine, logits.data(), bad.data(), {{time % 2 == 0 ? -1 : kSlots, -1, 0}});
    verdict.expect(refused[0].status == RowStatus::kRefused, "a row of no slot is refused");
    const auto own = step_with<float>(engine, logits.data(), nullptr, {{0, -1, 0}});
    engine.add(0, make_request(0));
    const auto found = step_with(engine, logits.data(), entropies.data(), {{0, -1, 0}});
    verdict.expect(equal(own[0].entropy, plain.step(logits.data(), {{0, -1, 0}})[0].entropy), "none for a call");
    plain.add(0, make_request(0));
    verdict.expect(equal(found[0].entropy, plain.step(entropies.data(), {{0, -1, 0}})[0].entropy), "and for the next");
  }
  reset::SamplerCall<float> call;
  call.logits = logits.data();
  call.entropy_logits = entropies.data();
  const DeviceArray<reset::SamplerRow> rows(std::vector<reset::SamplerRow>(1));
  call.rows = rows.data();
  call.count = 1;
  verdict.expect(!step(plain.device(), call, {}, nullptr).ok(), "a sampler without memory for them refuses");
}

}  // namespace

int test_entropy_logits(const reset::SamplerDevice& device, bool reduced) {
  Verdict verdict("entropy_logits");
  for (const std::int32_t vocabulary : {900, 5000, 151936}) {
    if (reduced && vocabulary > 5000) continue;
    test_rows_of_type<float>(device, vocabulary, reduced ? 5 : 20, verdict);
    test_rows_of_type<reset::BFloat16>(device, vocabulary, reduced ? 5 : 20, verdict);
    test_rows_of_type<reset::Half>(device, vocabulary, reduced ? 5 : 20, verdict);
  }
  test_drafted(device, verdict);
  test_bad(device, verdict);
  return verdict.failures();
}

}  // namespace device_test
