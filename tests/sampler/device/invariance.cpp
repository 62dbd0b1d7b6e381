// The bits of a row depend on the row and its slot alone.
#include <algorithm>
#include <numeric>
#include <random>

#include "sampler/device/comparisons.hpp"
#include "sampler/device/tests.hpp"

namespace device_test {
namespace {

constexpr int kSteps = 3;

// Lists of the best of both sizes and cuts beyond them, by every rule.
reset::RequestParams request_of(int slot) {
  constexpr std::int32_t kTopK[] = {0, 20, 0, 0, 200, 3000, 0};
  reset::RequestParams request;
  request.reset.tau0 = 1.0f + 0.1f * static_cast<float>(slot % 7);
  request.reset.window = slot % 3 == 0 ? 1 : 32;
  request.sampling.top_k = kTopK[slot % 7];
  request.sampling.top_p = slot % 4 == 1 || slot % 4 == 2 ? 0.95f : 1.0f;
  request.sampling.min_p = slot % 8 == 3 ? 0.03f : 0.0f;
  request.reset_enabled = slot % 5 != 4;
  request.seed = static_cast<std::uint64_t>(slot) * 1000003 + 5;
  request.first_position = slot * 10;
  return request;
}

// Peaked rows of two depths, and flat ones.
template <class T>
std::vector<T> row_of(std::int32_t width, int slot) {
  const bool flat = slot % 3 == 1;
  const float spread = slot % 3 == 0 ? 0.8f : flat ? 0.3f : 2.5f;
  return convert<T>(sampler_test::make_row(static_cast<std::size_t>(width), static_cast<unsigned>(slot), spread,
                                           flat ? 0 : 12, 11.0f));
}

// What each request gives, step by step, from calls of one row.
template <class T>
std::vector<std::vector<reset::SampledToken>> run_alone(const reset::SamplerDevice& device,
                                                        const reset::SamplerConfig& config, const T* logits,
                                                        int requests, int steps) {
  Engine engine(device, config, 1);
  std::vector<std::vector<reset::SampledToken>> alone(static_cast<std::size_t>(requests));
  for (int slot = 0; slot < requests; ++slot) {
    engine.add(slot, request_of(slot));
    const T* row = logits + static_cast<std::size_t>(slot) * static_cast<std::size_t>(config.vocabulary);
    for (int i = 0; i < steps; ++i) {
      alone[static_cast<std::size_t>(slot)].push_back(engine.step(row, {{slot, -1, reset::kNextPosition}})[0]);
    }
  }
  return alone;
}

template <class T>
void test_policies(const reset::SamplerDevice& device, std::int32_t vocabulary, int slots, Verdict& verdict) {
  reset::SamplerConfig config;
  config.vocabulary = vocabulary;
  config.slots = 64;
  const std::ptrdiff_t width = vocabulary;
  std::vector<T> logits;
  for (int slot = 0; slot < slots; ++slot) {
    const std::vector<T> row = row_of<T>(vocabulary, slot);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  const DeviceArray<T> memory(logits);
  const auto alone = run_alone(device, config, memory.data(), slots, kSteps);
  std::mt19937 random(7);
  // Cuts, and what is chosen for fewer multiprocessors.
  struct Cut {
    reset::SamplerPolicy policy;
    int multiprocessors;
  };
  const int all = device.sm_count;
  const Cut cuts[] = {{{0, 0}, all}, {{1, 1}, all},  {{2, 1}, all},  {{3, 4}, all},   {{7, 1}, all},
                      {{0, 0}, 8},   {{19, 1}, all}, {{75, 4}, all}, {{256, 1}, all}, {{0, 0}, 1}};
  for (const Cut& cut : cuts) {
    const reset::SamplerPolicy& policy = cut.policy;
    reset::SamplerDevice as_if = device;
    as_if.sm_count = cut.multiprocessors;
    for (const int batch : {7, slots}) {
      Engine engine(as_if, config, 64);
      // Slots are renamed and rows shuffled: row i holds the logits of request order[i].
      std::vector<int> order(static_cast<std::size_t>(slots));
      std::iota(order.begin(), order.end(), 0);
      std::shuffle(order.begin(), order.end(), random);
      order.resize(static_cast<std::size_t>(batch));
      std::vector<T> shuffled;
      std::vector<reset::SamplerRow> rows;
      for (const int request : order) {
        const std::int32_t slot = (request * 5 + 3) % 64;
        engine.add(slot, request_of(request));
        rows.push_back({slot, -1, reset::kNextPosition});
        const auto begin = logits.begin() + request * width;
        shuffled.insert(shuffled.end(), begin, begin + width);
      }
      const DeviceArray<T> rows_memory(shuffled);
      for (std::size_t step = 0; step < kSteps; ++step) {
        const auto found = engine.step(rows_memory.data(), rows, {false, policy});
        for (std::size_t i = 0; i < order.size(); ++i) {
          verdict.expect(same_bits(found[i], alone[static_cast<std::size_t>(order[i])][step]),
                         "parts " + std::to_string(policy.parts) + ", warps " + std::to_string(policy.chunk_warps) +
                             ", batch " + std::to_string(batch) + ", request " + std::to_string(order[i]) + ", step " +
                             std::to_string(step));
        }
      }
    }
  }
}

// More rows than a CTA has threads, and more than run at once: some slots have several, which stand anywhere.
void test_many_rows(const reset::SamplerDevice& device, Verdict& verdict) {
  constexpr int kSlots = 268;
  constexpr int kLong = 8;  // slots of several rows
  constexpr int kRowsOfLong = 5;
  reset::SamplerConfig config;
  config.vocabulary = 3000;
  config.slots = kSlots;
  config.rows_per_slot = kRowsOfLong;
  struct Row {
    reset::SamplerRow input;
    std::size_t place;
  };
  std::vector<Row> rows;
  std::vector<float> logits;
  for (int slot = 0; slot < kSlots; ++slot) {
    const std::vector<float> row = row_of<float>(config.vocabulary, slot);
    logits.insert(logits.end(), row.begin(), row.end());
    for (int i = 0; i < (slot < kLong ? kRowsOfLong : 1); ++i) {
      rows.push_back({{slot, reset::kPlaceholderToken, reset::kNextPosition - i}, static_cast<std::size_t>(i)});
    }
  }
  const DeviceArray<float> memory(logits);
  const auto alone = run_alone(device, config, memory.data(), kSlots, kSteps * kRowsOfLong);
  Engine engine(device, config, static_cast<std::int32_t>(rows.size()));
  for (int slot = 0; slot < kSlots; ++slot) engine.add(slot, request_of(slot));
  std::mt19937 random(9);
  for (std::size_t step = 0; step < kSteps; ++step) {
    std::shuffle(rows.begin(), rows.end(), random);
    std::vector<float> shuffled;
    std::vector<reset::SamplerRow> inputs;
    for (const Row& row : rows) {
      const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(row.input.slot) * config.vocabulary;
      shuffled.insert(shuffled.end(), begin, begin + config.vocabulary);
      inputs.push_back(row.input);
    }
    const DeviceArray<float> rows_memory(shuffled);
    const auto found = engine.step(rows_memory.data(), inputs);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::int32_t slot = rows[i].input.slot;
      const std::size_t at = slot < kLong ? step * kRowsOfLong + rows[i].place : step;
      verdict.expect(same_bits(found[i], alone[static_cast<std::size_t>(slot)][at]),
                     "300 rows, slot " + std::to_string(slot) + ", token " + std::to_string(at));
    }
  }
}

}  // namespace

int test_invariance(const reset::SamplerDevice& device, bool reduced) {
  Verdict verdict("invariance");
  test_policies<reset::BFloat16>(device, reduced ? 5000 : 151936, reduced ? 8 : 64, verdict);
  test_policies<float>(device, reduced ? 3000 : 50257, reduced ? 8 : 24, verdict);
  if (!reduced) test_many_rows(device, verdict);
  return verdict.failures();
}

}  // namespace device_test
