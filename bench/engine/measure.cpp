#include "measure.hpp"

#include <cuda_profiler_api.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <stdexcept>

#include "../gemv/timing.hpp"
#include "decoder.hpp"

namespace bench {
namespace {

using engine::cuda::Decoder;

constexpr int kSteps = 50;
constexpr int kWarmUp = 3;
// Distinct weights: many times what a cache holds, and quickly filled.
constexpr std::size_t kWeightBytes = 8'000'000'000;

class Events {
 public:
  explicit Events(cudaStream_t stream) : stream_(stream) {
    CHECK_CUDA(cudaEventCreate(begin_.out()));
    CHECK_CUDA(cudaEventCreate(end_.out()));
  }

  template <class Work>
  double milliseconds(Work work) {
    CHECK_CUDA(cudaEventRecord(begin_, stream_));
    work();
    CHECK_CUDA(cudaEventRecord(end_, stream_));
    CHECK_CUDA(cudaEventSynchronize(end_));
    float time = 0;
    CHECK_CUDA(cudaEventElapsedTime(&time, begin_, end_));
    return static_cast<double>(time);
  }

 private:
  cudaStream_t stream_;
  engine::cuda::OwnedEvent begin_;
  engine::cuda::OwnedEvent end_;
};

engine::cuda::DeviceWeights weights_of(const EngineCase& call) {
  const auto form = call.kind == EngineKind::kBf16 ? engine::cuda::WeightForm::kBf16 : engine::cuda::WeightForm::kNvfp4;
  return engine::cuda::random_weights(engine::cuda::published_config(call.model), form, call.nvfp4_head, kWeightBytes);
}

engine::cuda::DecoderOptions options_of(const EngineCase& call) {
  engine::cuda::DecoderOptions options;
  options.slots = call.batch;
  options.context = call.context;
  options.nvfp4_activations = call.kind == EngineKind::kW4A4;
  return options;
}

// As a reasoning model is sampled: top-p .95 and top-k 20, with the policy or at its higher temperature throughout.
reset::RequestParams request_of(bool policy, std::int32_t slot) {
  reset::RequestParams request;
  request.reset.tau0 = 0.5F;
  request.reset.t_low = 0.3F;
  request.reset_enabled = policy;
  request.sampling.top_p = 0.95F;
  request.sampling.top_k = 20;
  request.seed = static_cast<std::uint64_t>(slot);
  return request;
}

std::vector<std::int32_t> prompt_of(std::int64_t length, std::int32_t slot) {
  std::vector<std::int32_t> prompt(static_cast<std::size_t>(length));
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    prompt[i] = static_cast<std::int32_t>((i * 7919 + static_cast<std::size_t>(slot) * 104729) % 150000);
  }
  return prompt;
}

// Every slot reads a prompt; milliseconds of the last of them.
double begin_all(Decoder& decoder, Events& events, const EngineCase& call, std::int64_t prompt, bool policy) {
  double time = 0;
  for (std::int32_t slot = 0; slot < call.batch; ++slot) {
    const std::vector<std::int32_t> tokens = prompt_of(prompt, slot);
    time = events.milliseconds([&] { decoder.begin(slot, tokens, request_of(policy, slot)); });
  }
  return time;
}

// A step that came to NaN would have measured another sampler.
void require_sound(const Decoder& decoder, const EngineCase& call, std::int64_t step) {
  for (std::int32_t slot = 0; slot < call.batch; ++slot) {
    if (decoder.wait(step, slot).status == reset::RowStatus::kOk) continue;
    throw std::runtime_error(call.model + ", " + name_of(call.kind) + ": slot " + std::to_string(slot) +
                             " has logits that are no finite numbers");
  }
}

double step_ms(Decoder& decoder, Events& events, const EngineCase& call, std::int64_t length) {
  const std::int64_t first = std::min(length - kSteps / 2, call.context - kSteps - kWarmUp - 1) - kWarmUp;
  for (std::int32_t slot = 0; slot < call.batch; ++slot) decoder.place(slot, static_cast<std::int32_t>(first));
  for (int i = 0; i < kWarmUp; ++i) decoder.step();
  std::int64_t last = 0;
  const double time = events.milliseconds([&] {
    for (int i = 0; i < kSteps; ++i) last = decoder.step();
  });
  require_sound(decoder, call, last);
  return time / kSteps;
}

reset::TokenSetTable boundaries(const engine::ModelConfig& config) {
  return reset::TokenSetTable(static_cast<std::int32_t>(config.vocab_size), {271, 382, 1406}, {198});
}

}  // namespace

const char* name_of(EngineKind kind) {
  switch (kind) {
    case EngineKind::kBf16:
      return "bf16";
    case EngineKind::kW4A16:
      return "nvfp4-w4a16";
    case EngineKind::kW4A4:
      return "nvfp4-w4a4";
  }
  return "?";
}

EngineTimes measure_engine(const EngineCase& call, std::int64_t prompt, const std::vector<std::int64_t>& lengths,
                           std::int64_t full_run) {
  const engine::cuda::DeviceWeights weights = weights_of(call);
  Decoder decoder(weights, boundaries(weights.config), options_of(call));
  Events events(decoder.stream());
  EngineTimes times;
  times.weight_bytes = weights.bytes_per_step();
  times.cache_bytes = decoder.cache_bytes_per_token();
  decoder.fill_cache();
  decoder.capture();
  for (const bool policy : {true, false}) {
    // What the policy costs is measured where a step takes the least.
    if (!policy && (call.kind != EngineKind::kW4A16 || call.nvfp4_head)) continue;
    begin_all(decoder, events, call, prompt, policy);
    times.prompt_ms = begin_all(decoder, events, call, prompt, policy);
    std::vector<StepTime>& steps = policy ? times.reset : times.plain;
    for (const std::int64_t length : lengths) steps.push_back({length, step_ms(decoder, events, call, length)});
  }
  if (full_run == 0) return times;
  begin_all(decoder, events, call, prompt, true);
  times.full_run_ms = events.milliseconds([&] {
    for (std::int64_t i = 0; i < full_run; ++i) decoder.step();
  });
  return times;
}

void profile_engine(const EngineCase& call, std::int64_t length) {
  const engine::cuda::DeviceWeights weights = weights_of(call);
  Decoder decoder(weights, boundaries(weights.config), options_of(call));
  Events events(decoder.stream());
  decoder.fill_cache();
  begin_all(decoder, events, call, 16, true);
  step_ms(decoder, events, call, length);
  CHECK_CUDA(cudaStreamSynchronize(decoder.stream()));
  CHECK_CUDA(cudaProfilerStart());
  decoder.step();
  CHECK_CUDA(cudaStreamSynchronize(decoder.stream()));
  CHECK_CUDA(cudaProfilerStop());
}

}  // namespace bench
