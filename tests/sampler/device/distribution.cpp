// A million draws a setting against the probabilities that its rule leaves.
#include <cmath>
#include <random>

#include "sampler/device/harness.hpp"
#include "sampler/device/tests.hpp"
#include "sampler/sampler_oracle.hpp"

namespace device_test {
namespace {

// 3.7 standard deviations of chi-square above its mean, in the normal approximation: a p-value of 1e-4 with a fixed
// seed either always passes or never.
double limit(std::size_t freedom) {
  const double k = static_cast<double>(freedom);
  return k + 3.7 * std::sqrt(2.0 * k) + 9.0;
}

// Chi-square of draws against what a rule leaves of a row; cells of few draws are joined.
void judge(const std::string& name, const sampler_test::Kept& kept, const std::vector<double>& seen, int drawn,
           Verdict& verdict) {
  double chi_square = 0.0;
  double counted = 0.0;
  double rest_seen = 0.0;
  double rest_expected = 0.0;
  std::size_t cells = 0;
  const auto add = [&](double observed, double expected) {
    chi_square += (observed - expected) * (observed - expected) / expected;
    ++cells;
  };
  for (std::size_t i = 0; i < kept.ids.size(); ++i) {
    const double observed = seen[static_cast<std::size_t>(kept.ids[i])];
    const double expected = kept.probability[i] * drawn;
    counted += observed;
    if (expected < 10.0) {
      rest_seen += observed;
      rest_expected += expected;
    } else {
      add(observed, expected);
    }
  }
  if (rest_expected > 5.0) add(rest_seen, rest_expected);
  verdict.expect(counted == drawn, name + ": tokens that truncation leaves out are drawn");
  std::printf("  %s: chi-square %.1f, %zu cells, %d draws\n", name.c_str(), chi_square, cells, drawn);
  verdict.expect(cells < 2 || chi_square < limit(cells - 1), name + ": chi-square");
}

sampler_test::Kept truncate(const std::vector<float>& row, float temperature, const reset::SamplingParams& sampling) {
  return sampler_test::truncate(row, static_cast<double>(temperature), sampling.top_k,
                                static_cast<double>(sampling.top_p), static_cast<double>(sampling.min_p));
}

void test_setting(const reset::SamplerDevice& device, const char* name, float temperature,
                  const reset::SamplingParams& sampling, std::int32_t columns, int draws, Verdict& verdict) {
  constexpr int kSlots = 2048;
  reset::SamplerConfig config;
  config.vocabulary = columns;
  config.slots = kSlots;
  Engine engine(device, config, kSlots);
  const std::vector<float> row = sampler_test::make_row(static_cast<std::size_t>(columns), 17, 1.2f, 3, 3.0f);
  std::vector<float> logits;
  std::vector<reset::SamplerRow> rows;
  for (int slot = 0; slot < kSlots; ++slot) {
    reset::RequestParams request;
    request.sampling = sampling;
    request.sampling.temperature = temperature;  // where the detector gates the policy
    request.reset.t_low = request.reset.t_high = temperature;
    request.seed = static_cast<std::uint64_t>(slot) * 0x9e3779b97f4a7c15u;
    engine.add(slot, request);
    logits.insert(logits.end(), row.begin(), row.end());
    rows.push_back({slot, -1, reset::kNextPosition});
  }
  const DeviceArray<float> memory(logits);
  std::vector<double> seen(static_cast<std::size_t>(columns), 0.0);
  int drawn = 0;
  for (; drawn < draws; drawn += kSlots) {
    for (const auto& result : engine.step(memory.data(), rows)) seen[static_cast<std::size_t>(result.token)] += 1.0;
  }
  judge(name, truncate(row, temperature, sampling), seen, drawn, verdict);
}

// The first token of a step with one draft from another distribution, by rejection: what comes out is the target's.
void test_rejection(const reset::SamplerDevice& device, const char* name, float temperature,
                    const reset::SamplingParams& sampling, std::int32_t columns, int draws, Verdict& verdict) {
  constexpr int kSlots = 2048;
  reset::SamplerConfig config;
  config.vocabulary = columns;
  config.slots = kSlots;
  config.rows_per_slot = 2;
  const std::vector<float> row = sampler_test::make_row(static_cast<std::size_t>(columns), 5, 1.0f, 3, 2.5f);
  const std::vector<float> draft_row = sampler_test::make_row(static_cast<std::size_t>(columns), 6, 1.0f, 3, 2.5f);
  std::vector<double> q(row.size());
  for (std::size_t i = 0; i < q.size(); ++i) q[i] = std::exp(static_cast<double>(draft_row[i] + row[i]) / 2.0);
  std::mt19937_64 random(3);
  std::discrete_distribution<int> draw(q.begin(), q.end());
  std::vector<float> logits;
  std::vector<float> probabilities;
  for (int slot = 0; slot < kSlots; ++slot) {
    for (int i = 0; i < 2; ++i) {
      logits.insert(logits.end(), row.begin(), row.end());
      for (const double p : draw.probabilities()) probabilities.push_back(static_cast<float>(p));
    }
  }
  const DeviceArray<float> memory(logits);
  const DeviceArray<float> device_probabilities(probabilities);
  std::vector<double> seen(row.size(), 0.0);
  int drawn = 0;
  int accepted = 0;
  for (; drawn < draws; drawn += kSlots) {
    Engine engine(device, config, 2 * kSlots);
    std::vector<reset::SamplerRow> rows;
    for (int slot = 0; slot < kSlots; ++slot) {
      reset::RequestParams request;
      request.sampling = sampling;
      request.sampling.temperature = temperature;
      request.reset_enabled = false;
      request.seed = static_cast<std::uint64_t>(drawn + slot);
      engine.add(slot, request);
      rows.push_back({slot, -1, reset::kNextPosition});
      rows.push_back({slot, draw(random), reset::kNextPosition - 1});
    }
    const auto found = engine.step(memory.data(), rows, {}, device_probabilities.data());
    for (std::size_t i = 0; i < rows.size(); i += 2) {
      seen[static_cast<std::size_t>(found[i].token)] += 1.0;
      const bool holds = found[i].token == rows[i + 1].token;
      accepted += holds ? 1 : 0;
      verdict.expect(holds == (found[i + 1].status == reset::RowStatus::kOk), std::string(name) + ": the row behind");
    }
  }
  std::printf("  %d drafts accepted\n", accepted);
  judge(std::string("rejection, ") + name, truncate(row, temperature, sampling), seen, drawn, verdict);
  verdict.expect(accepted > drawn / 10 && accepted < drawn * 9 / 10, "drafts are accepted and rejected");
}

}  // namespace

int test_distribution(const reset::SamplerDevice& device, bool reduced) {
  Verdict verdict("distribution");
  const int draws = reduced ? 1 : 1000000;
  test_setting(device, "T = 1", 1.0f, {1.0f, 0, 1.0f, 0.0f, 0}, 300, draws, verdict);
  test_setting(device, "T = 0.5", 0.5f, {1.0f, 0, 1.0f, 0.0f, 0}, 300, draws, verdict);
  test_setting(device, "T = 1, three chunks", 1.0f, {1.0f, 0, 1.0f, 0.0f, 0}, 3000, draws, verdict);
  test_setting(device, "T = 0.5, three chunks", 0.5f, {1.0f, 0, 1.0f, 0.0f, 0}, 3000, draws, verdict);
  test_setting(device, "T = 1.7, three chunks", 1.7f, {1.0f, 0, 1.0f, 0.0f, 0}, 3000, draws, verdict);
  test_setting(device, "top-k 20", 1.0f, {1.0f, 20, 1.0f, 0.0f, 0}, 300, draws, verdict);
  test_setting(device, "top-p .9", 1.0f, {1.0f, 0, 0.9f, 0.0f, 0}, 300, draws, verdict);
  test_setting(device, "min-p .1", 0.8f, {1.0f, 0, 1.0f, 0.1f, 0}, 300, draws, verdict);
  test_rejection(device, "T = 1", 1.0f, {1.0f, 0, 1.0f, 0.0f, 0}, 60, draws, verdict);
  test_rejection(device, "T = .7, top-p .9", 0.7f, {1.0f, 0, 0.9f, 0.0f, 0}, 60, draws, verdict);
  // Chunks race, or more tokens are kept than are listed.
  test_rejection(device, "T = 1, three chunks", 1.0f, {1.0f, 0, 1.0f, 0.0f, 0}, 3000, (draws + 3) / 4, verdict);
  test_rejection(device, "top-k 2500, three chunks", 1.0f, {1.0f, 2500, 1.0f, 0.0f, 0}, 3000, (draws + 3) / 4, verdict);
  return verdict.failures();
}

}  // namespace device_test
