// Long requests against the host sampler: one side's history is never copied to the other.
#include <cmath>
#include <random>

#include "sampler/device/comparisons.hpp"
#include "sampler/device/tests.hpp"

namespace device_test {
namespace {

constexpr std::int32_t kVocabulary = 1500;
constexpr int kSlots = 24;

// Rows whose likely tokens are those that detectors look for, with an entropy that wanders.
std::vector<float> trace_row(int slot, int time) {
  std::mt19937 random(static_cast<unsigned>(slot * 7919 + time));
  const float spread = 0.4f + 2.0f * std::fabs(std::sin(0.01f * static_cast<float>(time * (slot % 5 + 1))));
  std::vector<float> row = sampler_test::make_row(kVocabulary, static_cast<unsigned>(random()), spread, 6, 6.0f);
  for (int i = 0; i < 2; ++i) row[random() % 9] += 7.0f;
  return row;
}

reset::RequestParams make_request(int slot) {
  reset::RequestParams request;
  request.reset.tau0 = 1.2f + 0.2f * static_cast<float>(slot % 6);
  request.reset.t_low = 0.5f;
  constexpr std::int32_t kWindows[] = {0, 32, 128, 1};
  request.reset.window = kWindows[slot / 2 % 4];
  request.reset.history = slot % 2 == 0 ? reset::HistoryMode::kExcludeCurrent : reset::HistoryMode::kIncludeCurrent;
  request.sampling.top_k = slot % 4 == 1 ? 20 : 0;
  request.sampling.top_p = slot % 4 == 1 || slot % 4 == 2 ? 0.95f : 1.0f;
  request.reset_enabled = slot % 12 != 11;
  request.early_stop.patience = slot % 3 == 1 ? 6 : 0;
  request.early_stop.answer_level = slot % 3 == 2 ? 2.5f : 0.0f;
  request.early_stop.answer_tokens = 6;
  request.seed = static_cast<std::uint64_t>(slot) + 100;
  return request;
}

}  // namespace

int test_traces(const reset::SamplerDevice& device, bool reduced) {
  Verdict verdict("traces");
  reset::SamplerConfig config;
  config.vocabulary = kVocabulary;
  config.row_stride = kVocabulary + 3;
  config.slots = kSlots;
  Engine engine(device, config, kSlots);
  std::vector<reset::SamplerRow> rows;
  for (int slot = 0; slot < kSlots; ++slot) {
    engine.add(slot, make_request(slot));
    rows.push_back({slot, -1, reset::kNextPosition});
  }
  const std::size_t stride = static_cast<std::size_t>(config.row_stride);
  DeviceArray<float> memory(stride * kSlots);
  // Requests whose two sides have parted, for a stated reason, are compared no further.
  std::vector<bool> parted(kSlots, false);
  int compared = 0;
  int by_mass = 0;
  int near_threshold = 0;
  int near_cut = 0;
  int boundaries = 0;
  int uncertain = 0;
  std::vector<int> stopped(kSlots, -1);  // the token at which the flag was up
  for (int time = 0; time < (reduced ? 40 : 1500); ++time) {
    std::vector<float> logits(stride * kSlots, sampler_test::kNaN);
    for (int slot = 0; slot < kSlots; ++slot) {
      const auto row = trace_row(slot, time);
      std::copy(row.begin(), row.end(), logits.begin() + static_cast<std::ptrdiff_t>(stride) * slot);
    }
    memory.upload(logits);
    const auto found = engine.step(memory.data(), rows);
    for (int slot = 0; slot < kSlots; ++slot) {
      const std::size_t s = static_cast<std::size_t>(slot);
      if (parted[s]) continue;
      reset::SampledToken expected;
      check(engine.host().sample(slot, logits.data() + stride * s, expected), "sample");
      const std::string name = "slot " + std::to_string(slot) + ", token " + std::to_string(time);
      ++compared;
      boundaries += found[s].boundary ? 1 : 0;
      uncertain += found[s].policy.uncertain ? 1 : 0;
      if (expected.stop && stopped[s] < 0) stopped[s] = time;
      const reset::SamplingParams sampling = make_request(slot).sampling;
      by_mass += cuts_by_mass(sampling) ? 1 : 0;
      const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(stride) * slot;
      const std::vector<float> row(begin, begin + kVocabulary);
      const Parting parting = compare_tokens(found[s], expected, row, sampling, name, verdict);
      near_threshold += parting == Parting::kThreshold ? 1 : 0;
      near_cut += parting == Parting::kCut ? 1 : 0;
      parted[s] = parting != Parting::kNone;
    }
  }
  std::printf("traces: %d tokens, %d boundaries, %d uncertain, %d differ at the threshold, %d at the cut of top-p\n",
              compared, boundaries, uncertain, near_threshold, near_cut);
  verdict.expect(boundaries > compared / 100 && uncertain > compared / 100, "traces without boundaries");
  verdict.expect(near_threshold * 2000 <= compared && near_cut * 2000 <= by_mass, "more than 0.05 % differ");
  for (int slot = 0; slot < kSlots; ++slot) {
    const std::size_t s = static_cast<std::size_t>(slot);
    const std::string name = "slot " + std::to_string(slot);
    const bool rises = slot % 3 != 0;
    verdict.expect(reduced || (rises ? stopped[s] > 5 : stopped[s] < 0), name + ": when the flag is up");
    DeviceSampler::State expected;
    check(engine.host().export_slot(slot, expected), "export_slot");
    const std::string differs = parted[s] ? "" : difference(engine.state(slot), expected, kVocabulary);
    verdict.expect(differs.empty(), name + " remembers something else: " + differs);
  }
  return verdict.failures();
}

}  // namespace device_test
