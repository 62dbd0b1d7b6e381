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

// A request's temperatures at rows of two entropies: each is one of the two, and draws as it says.
void test_policy(const reset::SamplerDevice& device, const reset::SamplingParams& sampling, int draws,
                 Verdict& verdict) {
  constexpr int kSlots = 2048;
  constexpr std::int32_t kColumns = 300;
  constexpr float kTemperatures[] = {0.4f, 1.3f};
  reset::SamplerConfig config;
  config.vocabulary = kColumns;
  config.slots = kSlots;
  Engine engine(device, config, kSlots);
  const std::vector<float> shapes[] = {sampler_test::make_row(kColumns, 17, 0.8f, 12, 6.0f),
                                       sampler_test::make_row(kColumns, 18, 0.9f, 0, 0.0f)};
  std::vector<float> logits;
  std::vector<reset::SamplerRow> rows;
  for (int slot = 0; slot < kSlots; ++slot) {
    reset::RequestParams request;
    request.sampling = sampling;
    request.sampling.temperature = kTemperatures[1];  // where the detector gates the policy
    request.reset.t_low = kTemperatures[0];
    request.reset.t_high = kTemperatures[1];
    request.reset.tau0 = 4.0f;  // between the two entropies
    request.seed = static_cast<std::uint64_t>(slot) * 0x9e3779b97f4a7c15u;
    engine.add(slot, request);
    logits.insert(logits.end(), shapes[slot % 2].begin(), shapes[slot % 2].end());
    rows.push_back({slot, -1, reset::kNextPosition});
  }
  const DeviceArray<float> memory(logits);
  std::vector<double> seen[2][2];  // by row and temperature
  int drawn[2][2] = {};
  for (auto& of_row : seen) {
    for (auto& counts : of_row) counts.resize(kColumns, 0.0);
  }
  for (int total = 0; total < draws; total += kSlots) {
    const auto found = engine.step(memory.data(), rows);
    for (std::size_t slot = 0; slot < found.size(); ++slot) {
      const int high = found[slot].policy.temperature == kTemperatures[1] ? 1 : 0;
      verdict.expect(found[slot].policy.temperature == kTemperatures[high], "a temperature of the policy");
      seen[slot % 2][high][static_cast<std::size_t>(found[slot].token)] += 1.0;
      ++drawn[slot % 2][high];
    }
  }
  for (int row = 0; row < 2; ++row) {
    for (int high = 0; high < 2; ++high) {
      if (drawn[row][high] == 0) continue;
      judge("policy, row " + std::to_string(row) + (high != 0 ? ", T_high" : ", T_low"),
            truncate(shapes[row], kTemperatures[high], sampling), seen[row][high], drawn[row][high], verdict);
    }
  }
  verdict.expect(draws < 1000 || (drawn[0][0] > draws / 8 && drawn[1][1] > draws / 8),
                 "both temperatures are drawn at");
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
  Engine engine(device, config, 2 * kSlots);
  for (int slot = 0; slot < kSlots; ++slot) {
    reset::RequestParams request;
    request.sampling = sampling;
    request.sampling.temperature = temperature;
    request.reset_enabled = false;
    request.seed = static_cast<std::uint64_t>(slot);
    engine.add(slot, request);
  }
  for (; drawn < draws; drawn += kSlots) {
    std::vector<reset::SamplerRow> rows;
    for (int slot = 0; slot < kSlots; ++slot) {
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
  test_setting(device, "top-k 20, top-p .8", 1.0f, {1.0f, 20, 0.8f, 0.0f, 0}, 300, draws, verdict);
  // More than are listed while the temperature is being decided, and more than are listed at all.
  test_setting(device, "top-k 200, three chunks", 1.0f, {1.0f, 200, 1.0f, 0.0f, 0}, 3000, draws, verdict);
  test_setting(device, "top-k 2500, top-p .95, three chunks", 1.5f, {1.0f, 2500, 0.95f, 0.0f, 0}, 3000, draws, verdict);
  test_policy(device, {1.0f, 0, 1.0f, 0.0f, 0}, draws, verdict);
  test_policy(device, {1.0f, 0, 0.95f, 0.0f, 0}, draws, verdict);
  test_setting(device, "top-p .9", 1.0f, {1.0f, 0, 0.9f, 0.0f, 0}, 300, draws, verdict);
  test_setting(device, "min-p .1", 0.8f, {1.0f, 0, 1.0f, 0.1f, 0}, 300, draws, verdict);
  test_rejection(device, "T = 1", 1.0f, {1.0f, 0, 1.0f, 0.0f, 0}, 60, draws, verdict);
  test_rejection(device, "T = .7, top-p .9", 0.7f, {1.0f, 0, 0.9f, 0.0f, 0}, 60, draws, verdict);
  // Chunks race, or more tokens are kept than are listed.
  test_rejection(device, "T = 1, three chunks", 1.0f, {1.0f, 0, 1.0f, 0.0f, 0}, 3000, draws, verdict);
  test_rejection(device, "top-k 2500, three chunks", 1.0f, {1.0f, 2500, 1.0f, 0.0f, 0}, 3000, draws, verdict);
  return verdict.failures();
}

}  // namespace device_test
