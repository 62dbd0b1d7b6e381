// Captured once, replayed: positions and histories advance on the device.
#include "sampler/device/harness.hpp"
#include "sampler/device/tests.hpp"

namespace device_test {

int test_graph(const reset::SamplerDevice& device) {
  Verdict verdict("graph");
  constexpr std::int32_t kVocabulary = 20000;
  constexpr int kSlots = 3;
  constexpr int kReplays = 40;
  reset::SamplerConfig config;
  config.vocabulary = kVocabulary;
  config.slots = kSlots;
  std::vector<reset::Half> logits;
  std::vector<reset::SamplerRow> rows;
  for (int slot = 0; slot < kSlots; ++slot) {
    const auto row =
        convert<reset::Half>(sampler_test::make_row(kVocabulary, static_cast<unsigned>(slot), 1.5f, 9, 7.0f));
    logits.insert(logits.end(), row.begin(), row.end());
    rows.push_back({slot, -1, reset::kNextPosition});
  }
  const DeviceArray<reset::Half> memory(logits);
  Engine engine(device, config, kSlots);
  Engine eager(device, config, kSlots);
  reset::RequestParams request;
  request.sampling.top_p = 0.9f;
  for (int slot = 0; slot < kSlots; ++slot) {
    request.seed = static_cast<std::uint64_t>(slot);
    engine.add(slot, request);
    eager.add(slot, request);
  }
  for (const bool dependent : {false, true}) {
    if (dependent && device.arch < 90) continue;
    const DeviceArray<reset::SamplerRow> device_rows(rows);
    DeviceArray<std::int32_t> tokens(kSlots);
    reset::SamplerCall<reset::Half> call;
    call.logits = memory.data();
    call.rows = device_rows.data();
    call.count = kSlots;
    call.tokens = tokens.data();
    cudaStream_t stream = nullptr;
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    CHECK_CUDA(cudaStreamCreate(&stream));
    CHECK_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    check(step(engine.device(), call, {dependent, {}}, stream), "sampler_step");
    check(step(engine.device(), call, {dependent, {}}, stream), "sampler_step");
    CHECK_CUDA(cudaStreamEndCapture(stream, &graph));
    CHECK_CUDA(cudaGraphInstantiate(&executable, graph, 0));
    int changed = 0;
    std::vector<std::int32_t> last;
    for (int i = 0; i < kReplays; ++i) {
      tokens.poison();
      CHECK_CUDA(cudaGraphLaunch(executable, stream));
      CHECK_CUDA(cudaStreamSynchronize(stream));
      const std::vector<std::int32_t> found = tokens.download();
      eager.step(memory.data(), rows);
      const auto expected = eager.step(memory.data(), rows);
      for (std::size_t s = 0; s < kSlots; ++s) {
        verdict.expect(found[s] == expected[s].token, "replay " + std::to_string(i) + ", slot " + std::to_string(s));
      }
      changed += found != last ? 1 : 0;
      last = found;
    }
    verdict.expect(changed > kReplays / 2, "replays draw new random numbers");
    CHECK_CUDA(cudaGraphExecDestroy(executable));
    CHECK_CUDA(cudaGraphDestroy(graph));
    CHECK_CUDA(cudaStreamDestroy(stream));
  }
  return verdict.failures();
}

}  // namespace device_test
