// The bits of a row depend on the row and its slot alone.
#include <algorithm>
#include <random>

#include "sampler/device/comparisons.hpp"
#include "sampler/device/tests.hpp"

namespace device_test {
namespace {

reset::RequestParams make_request(int slot) {
  reset::RequestParams request;
  request.reset.tau0 = 1.0f + 0.1f * static_cast<float>(slot % 7);
  request.sampling.top_k = slot % 4 == 1 ? 20 : 0;
  request.sampling.top_p = slot % 4 == 1 || slot % 4 == 2 ? 0.95f : 1.0f;
  request.sampling.min_p = slot % 8 == 3 ? 0.03f : 0.0f;
  request.reset_enabled = slot % 5 != 4;
  request.seed = static_cast<std::uint64_t>(slot) * 1000003 + 5;
  request.first_position = slot * 10;
  return request;
}

}  // namespace

int test_invariance(const reset::SamplerDevice& device, bool reduced) {
  Verdict verdict("invariance");
  reset::SamplerConfig config;
  config.vocabulary = reduced ? 5000 : 151936;
  config.slots = 64;
  const int slots = reduced ? 8 : 64;
  const std::size_t width = static_cast<std::size_t>(config.vocabulary);
  std::vector<reset::BFloat16> logits;
  for (int slot = 0; slot < slots; ++slot) {
    const auto row = convert<reset::BFloat16>(
        sampler_test::make_row(width, static_cast<unsigned>(slot), slot % 3 == 0 ? 0.8f : 2.5f, 12, 11.0f));
    logits.insert(logits.end(), row.begin(), row.end());
  }
  const DeviceArray<reset::BFloat16> memory(logits);
  std::vector<reset::SampledToken> alone;
  {
    Engine engine(device, config, 64);
    for (int slot = 0; slot < slots; ++slot) {
      engine.add(slot, make_request(slot));
      alone.push_back(
          engine.step(memory.data() + static_cast<std::size_t>(slot) * width, {{slot, -1, reset::kNextPosition}})[0]);
    }
  }
  std::mt19937 random(7);
  const reset::SamplerPolicy policies[] = {{0, 0}, {1, 1}, {2, 1}, {3, 4}, {7, 1}, {19, 1}, {75, 4}, {256, 1}};
  for (const reset::SamplerPolicy& policy : policies) {
    for (const int batch : {7, slots}) {
      Engine engine(device, config, 64);
      // Slots are renamed and rows shuffled: row i holds the logits of request order[i].
      std::vector<int> order(static_cast<std::size_t>(slots));
      for (int i = 0; i < slots; ++i) order[static_cast<std::size_t>(i)] = i;
      std::shuffle(order.begin(), order.end(), random);
      order.resize(static_cast<std::size_t>(batch));
      std::vector<reset::BFloat16> shuffled;
      std::vector<reset::SamplerRow> rows;
      for (const int request : order) {
        const std::int32_t slot = (request * 5 + 3) % 64;
        engine.add(slot, make_request(request));
        rows.push_back({slot, -1, reset::kNextPosition});
        const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(request) * width);
        shuffled.insert(shuffled.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
      }
      const DeviceArray<reset::BFloat16> rows_memory(shuffled);
      const auto found = engine.step(rows_memory.data(), rows, {false, policy});
      for (std::size_t i = 0; i < order.size(); ++i) {
        verdict.expect(same_bits(found[i], alone[static_cast<std::size_t>(order[i])]),
                       "parts " + std::to_string(policy.parts) + ", warps " + std::to_string(policy.chunk_warps) +
                           ", batch " + std::to_string(batch) + ", request " + std::to_string(order[i]));
      }
    }
  }
  return verdict.failures();
}

}  // namespace device_test
