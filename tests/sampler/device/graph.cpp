// Captured once, replayed: positions and histories advance on the device.
#include <algorithm>

#include "sampler/device/comparisons.hpp"
#include "sampler/device/tests.hpp"

namespace device_test {
namespace {

void test_replays(const reset::SamplerDevice& device, Verdict& verdict) {
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
  // Other logits for every other call: what is left of the call before must not pass for this one's.
  std::rotate(logits.begin(), logits.begin() + 7777, logits.end());
  const DeviceArray<reset::Half> others(logits);
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
    call.logits = others.data();
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
      const auto expected = eager.step(others.data(), rows);
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
}

// The number of a row's call begins anew, and a row is refused in between.
void test_calls(const reset::SamplerDevice& device, Verdict& verdict) {
  constexpr std::int32_t kVocabulary = 60000;
  reset::SamplerConfig config;
  config.vocabulary = kVocabulary;
  Engine engine(device, config, 1);
  Engine fresh(device, config, 1);
  engine.begin_at_call(0xfffffffdu);
  const reset::RequestParams request;
  engine.add(0, request);
  fresh.add(0, request);
  for (int i = 0; i < 6; ++i) {
    const DeviceArray<float> memory(sampler_test::make_row(kVocabulary, static_cast<unsigned>(i), 1.5f, 9, 7.0f));
    const reset::SamplerRow row{0, -1, reset::kNextPosition};
    if (i % 2 == 1) engine.step(memory.data(), {{7, -1, reset::kNextPosition}});
    const auto found = engine.step(memory.data(), {row});
    verdict.expect(same_bits(found[0], fresh.step(memory.data(), {row})[0]), "call " + std::to_string(i));
  }
}

// Two samplers on two streams at once: each gives what it gives alone.
void test_streams(const reset::SamplerDevice& device, Verdict& verdict) {
  constexpr std::int32_t kVocabulary = 60000;
  constexpr int kSteps = 60;
  reset::SamplerConfig config;
  config.vocabulary = kVocabulary;
  const DeviceArray<float> memory(sampler_test::make_row(kVocabulary, 4, 1.5f, 9, 7.0f));
  const DeviceArray<reset::SamplerRow> rows({{0, -1, reset::kNextPosition}});
  DeviceArray<std::int32_t> tokens(2 * kSteps);
  tokens.poison();
  Engine first(device, config, 1);
  Engine second(device, config, 1);
  cudaStream_t streams[2] = {};
  const Engine* engines[2] = {&first, &second};
  for (const std::uint64_t i : {0u, 1u}) {
    reset::RequestParams request;
    request.seed = i;
    request.sampling.top_p = i == 0 ? 1.0f : 0.95f;
    (i == 0 ? first : second).add(0, request);
    CHECK_CUDA(cudaStreamCreateWithFlags(&streams[i], cudaStreamNonBlocking));
  }
  CHECK_CUDA(cudaDeviceSynchronize());
  for (int step_index = 0; step_index < kSteps; ++step_index) {
    for (int i = 0; i < 2; ++i) {
      reset::SamplerCall<float> call;
      call.logits = memory.data();
      call.rows = rows.data();
      call.count = 1;
      call.tokens = tokens.data() + i * kSteps + step_index;
      check(step(engines[i]->device(), call, {}, streams[i]), "sampler_step");
    }
  }
  CHECK_CUDA(cudaDeviceSynchronize());
  const std::vector<std::int32_t> found = tokens.download();
  for (int i = 0; i < 2; ++i) {
    CHECK_CUDA(cudaStreamDestroy(streams[i]));
    Engine alone(device, config, 1);
    reset::RequestParams request;
    request.seed = static_cast<std::uint64_t>(i);
    request.sampling.top_p = i == 0 ? 1.0f : 0.95f;
    alone.add(0, request);
    for (int step_index = 0; step_index < kSteps; ++step_index) {
      const auto expected = alone.step(memory.data(), {{0, -1, reset::kNextPosition}});
      verdict.expect(found[static_cast<std::size_t>(i * kSteps + step_index)] == expected[0].token,
                     "stream " + std::to_string(i) + ", token " + std::to_string(step_index));
    }
  }
}

}  // namespace

int test_graph(const reset::SamplerDevice& device) {
  Verdict verdict("graph");
  test_replays(device, verdict);
  test_streams(device, verdict);
  test_calls(device, verdict);
  return verdict.failures();
}

}  // namespace device_test
