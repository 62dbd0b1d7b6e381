// What a request can turn off or ask for, and draft probabilities that are none, against the host sampler.
#include <algorithm>
#include <cmath>
#include <random>

#include "sampler/device/harness.hpp"
#include "sampler/device/tests.hpp"

namespace device_test {
namespace {

using sampler_test::kNaN;

constexpr std::int32_t kVocabulary = 2000;

reset::SamplerConfig make_config(std::int32_t rows_per_slot = 1) {
  reset::SamplerConfig config;
  config.vocabulary = kVocabulary;
  config.rows_per_slot = rows_per_slot;
  return config;
}

// Rows whose likely tokens are those that the detectors look for.
std::vector<float> row_at(int time) {
  std::mt19937 random(static_cast<unsigned>(time) + 5);
  std::vector<float> row = sampler_test::make_row(kVocabulary, static_cast<unsigned>(random()), 1.5f, 4, 5.0f);
  for (int i = 0; i < 3; ++i) row[1 + random() % 4] += 7.0f;  // no token that switches the policy
  return row;
}

// A detector that is off ends no step: boundaries come while it is on.
void test_detector(const reset::SamplerDevice& device, Verdict& verdict) {
  Engine engine(device, make_config(), 1);
  reset::RequestParams request;
  request.reset.tau0 = 2.0f;
  request.reset.window = 4;
  request.early_stop.patience = 3;
  engine.add(0, request);
  int boundaries = 0;
  for (int time = 0; time < 300; ++time) {
    const bool off = time / 20 % 2 != 0;
    if (time % 20 == 0) {
      request.detector_enabled = !off;
      check(update(engine.device(), 0, request, nullptr), "sampler_update");
      const DeviceSampler::State state = engine.state(0);
      check(engine.host().add(0, request), "add");
      check(engine.host().import_slot(0, state), "import_slot");
    }
    const std::vector<float> row = row_at(time);
    const DeviceArray<float> logits(row);
    const auto found = engine.step(logits.data(), {{0, -1, reset::kNextPosition}});
    reset::SampledToken expected;
    check(engine.host().sample(0, row.data(), expected), "sample");
    const std::string name = "detector: token " + std::to_string(time);
    verdict.expect(found[0].boundary == expected.boundary && found[0].stop == expected.stop, name + ": boundary");
    const bool near = std::fabs(static_cast<double>(expected.entropy) - expected.policy.threshold) < 1e-5;
    verdict.expect(near || found[0].token == expected.token, name);
    // The first token behind the switch may stand at a boundary that was marked before.
    verdict.expect(!(off && time % 20 > 0 && found[0].boundary), name + ": off, it ends no step");
    boundaries += found[0].boundary ? 1 : 0;
    check(engine.host().import_slot(0, engine.state(0)), "import_slot");
  }
  verdict.expect(boundaries > 10, "detector: there are boundaries");
}

// Drafters draw by other random numbers than samplers with their seed: what the host draws, by every way to a token.
void test_purpose(const reset::SamplerDevice& device, Verdict& verdict) {
  const std::vector<float> row = sampler_test::make_row(kVocabulary, 3, 0.5f, 0, 0.0f);
  const DeviceArray<float> logits(row);
  for (const std::int32_t top_k : {0, 40, 1500}) {
    std::vector<std::int32_t> tokens[2];
    for (const reset::RandomPurpose purpose : {reset::RandomPurpose::kSampling, reset::RandomPurpose::kDrafting}) {
      Engine engine(device, make_config(), 1);
      reset::RequestParams request;
      request.reset_enabled = false;
      request.sampling.top_k = top_k;
      request.seed = 9;
      request.purpose = purpose;
      engine.add(0, request);
      for (int time = 0; time < 100; ++time) {
        const auto found = engine.step(logits.data(), {{0, -1, reset::kNextPosition}});
        reset::SampledToken expected;
        check(engine.host().sample(0, row.data(), expected), "sample");
        verdict.expect(found[0].token == expected.token, "purpose: token " + std::to_string(time));
        tokens[purpose == reset::RandomPurpose::kSampling ? 0 : 1].push_back(found[0].token);
      }
    }
    int equal = 0;
    for (std::size_t i = 0; i < tokens[0].size(); ++i) equal += tokens[0][i] == tokens[1][i] ? 1 : 0;
    verdict.expect(equal < 20, "purpose: drafts are drawn by other numbers");
  }
}

// Draft probabilities that are negative or NaN count as 0 in what rejection leaves; a draft whose own is NaN never
// holds.
void test_draft_probabilities(const reset::SamplerDevice& device, Verdict& verdict) {
  int differ = 0;
  int compared = 0;
  int replaced = 0;
  int among_none = 0;  // tokens whose q is none of a probability
  for (const std::int32_t top_k : {0, 30}) {
    Engine engine(device, make_config(2), 2);
    reset::RequestParams request;
    request.reset_enabled = false;
    request.sampling.top_k = top_k;
    request.seed = 21;
    for (int time = 0; time < 300; ++time) {
      std::vector<float> logits = sampler_test::make_row(kVocabulary, static_cast<unsigned>(time), 1.0f, 40, 6.0f);
      const std::size_t columns = logits.size();
      logits.insert(logits.end(), logits.begin(), logits.begin() + kVocabulary);
      std::vector<float> draft(2 * columns, kNaN);
      for (std::size_t i = 0; i < columns; ++i) {
        draft[i] = i % 4 != 0 ? 0.05f : i % 8 != 0 ? -0.25f : i % 16 != 0 ? kNaN : -kNaN;
      }
      const auto first = logits.begin();
      std::int32_t drafted = static_cast<std::int32_t>(std::max_element(first, first + kVocabulary) - first);
      if (time % 3 == 0) drafted = drafted / 8 * 8;  // NaN
      engine.add(0, request);
      const std::vector<reset::SamplerRow> rows = {{0, -1, time}, {0, drafted, time + 1}};
      const DeviceArray<float> memory(logits);
      const DeviceArray<float> probabilities(draft);
      const auto found = engine.step(memory.data(), rows, {}, probabilities.data());
      reset::SampledToken expected[2];
      check(engine.host().step(logits.data(), rows.data(), 2, expected, draft.data()), "step");
      ++compared;
      differ += found[0].token == expected[0].token && found[1].status == expected[1].status ? 0 : 1;
      replaced += found[0].token != drafted ? 1 : 0;
      among_none += found[0].token % 4 == 0 ? 1 : 0;
    }
  }
  std::printf("options: %d drafts, %d replaced, %d by tokens without a probability, %d differ from the host's\n",
              compared, replaced, among_none, differ);
  verdict.expect(differ * 200 <= compared, "draft probabilities: more than 0.5 % differ from the host's");
  verdict.expect(replaced > compared / 4 && among_none > compared / 10, "draft probabilities: tokens are replaced");
}

}  // namespace

int test_options(const reset::SamplerDevice& device) {
  Verdict verdict("options");
  test_detector(device, verdict);
  test_purpose(device, verdict);
  test_draft_probabilities(device, verdict);
  return verdict.failures();
}

}  // namespace device_test
