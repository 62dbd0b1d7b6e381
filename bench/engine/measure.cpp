#include "measure.hpp"

#include <cuda_profiler_api.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <stdexcept>

#include <reset/status.hpp>

#include "../gemv/timing.hpp"
#include "spread.hpp"

namespace bench {
namespace {

constexpr int kSteps = 50;
constexpr int kPairs = 4;                  // even: each of the two is the first as often as the other
constexpr std::int64_t kShortPrompt = 16;  // for a new request of a sequence that is placed further on

engine::cuda::DeviceWeights weights_of(const EngineCase& call) {
  const auto form = call.kind == EngineKind::kBf16 ? engine::cuda::WeightForm::kBf16 : engine::cuda::WeightForm::kNvfp4;
  engine::ModelConfig config = engine::cuda::published_config(call.model);
  if (call.layers > 0) config.layers = call.layers;
  return engine::cuda::random_weights(config, form, call.nvfp4_head);
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

EngineKind engine_kind(const std::string& name) {
  for (const EngineKind kind : {EngineKind::kBf16, EngineKind::kW4A16, EngineKind::kW4A4}) {
    if (name == name_of(kind)) return kind;
  }
  throw reset::Error("engine " + name + ", expected bf16, nvfp4-w4a16 or nvfp4-w4a4");
}

EngineRun::EngineRun(const EngineCase& engine)
    : engine_(engine),
      weights_(weights_of(engine)),
      decoder_(weights_, boundaries(weights_.config), options_of(engine)) {
  CHECK_CUDA(cudaEventCreate(begin_.out()));
  CHECK_CUDA(cudaEventCreate(end_.out()));
  decoder_.fill_cache();
}

double EngineRun::milliseconds(const std::function<void()>& work) {
  CHECK_CUDA(cudaEventRecord(begin_, decoder_.stream()));
  work();
  CHECK_CUDA(cudaEventRecord(end_, decoder_.stream()));
  CHECK_CUDA(cudaEventSynchronize(end_));
  float time = 0;
  CHECK_CUDA(cudaEventElapsedTime(&time, begin_, end_));
  return static_cast<double>(time);
}

double EngineRun::begin_all(std::int64_t length, bool policy) {
  std::vector<engine::Prompt> prompts;
  for (std::int32_t slot = 0; slot < engine_.batch; ++slot) {
    prompts.push_back({slot, prompt_of(length, slot), request_of(policy, slot)});
  }
  return milliseconds([&] { decoder_.begin(prompts); });
}

// A step that came to NaN would have measured another sampler.
void EngineRun::require_sound(std::int64_t step) const {
  for (std::int32_t slot = 0; slot < engine_.batch; ++slot) {
    if (decoder_.wait(step, slot).status == reset::RowStatus::kOk) continue;
    throw std::runtime_error(engine_.model + ", " + name_of(engine_.kind) + ": slot " + std::to_string(slot) +
                             " has logits that are no finite numbers");
  }
}

double EngineRun::steps_ms(std::int64_t steps) {
  return milliseconds([&] {
    for (std::int64_t i = 0; i < steps; ++i) decoder_.step();
  });
}

double EngineRun::step_ms(std::int64_t length, int steps) {
  constexpr int kWarmUp = 3;
  const std::int64_t first = std::min(length - steps / 2, engine_.context - steps - kWarmUp - 1) - kWarmUp;
  for (std::int32_t slot = 0; slot < engine_.batch; ++slot) decoder_.place(slot, static_cast<std::int32_t>(first));
  std::int64_t last = 0;
  for (int i = 0; i < kWarmUp; ++i) last = decoder_.step();
  const double time = steps_ms(steps);
  require_sound(last + steps);
  return time / steps;
}

// Steps with and without the policy, first one and then the other before: what drifts is in both.
static void compare_policy(EngineRun& run, std::int64_t length, EngineTimes& times) {
  std::vector<double> with;
  std::vector<double> without;
  for (int pair = 0; pair < kPairs; ++pair) {
    for (const bool policy : {pair % 2 == 0, pair % 2 != 0}) {
      run.begin_all(kShortPrompt, policy);
      (policy ? with : without).push_back(run.step_ms(length, kSteps));
    }
    times.costs.push_back(with.back() / without.back() - 1);
  }
  times.reset.push_back({length, median(with)});
  times.plain.push_back({length, median(without)});
}

EngineTimes measure_engine(const EngineCase& call, std::int64_t prompt, const std::vector<std::int64_t>& lengths,
                           std::int64_t full_run) {
  EngineRun run(call);
  EngineTimes times;
  times.weight_bytes = run.weights().bytes_per_step();
  times.cache_bytes = run.decoder().cache_bytes_per_token();
  run.decoder().capture();
  run.begin_all(prompt, true);
  times.prompts_ms = run.begin_all(prompt, true);
  const bool compared = call.kind == EngineKind::kW4A16 && !call.nvfp4_head;
  for (const std::int64_t length : lengths) {
    if (compared) {
      compare_policy(run, length, times);
    } else {
      times.reset.push_back({length, run.step_ms(length, kSteps)});
    }
  }
  if (full_run == 0) return times;
  run.begin_all(prompt, true);
  times.full_run_ms = run.steps_ms(full_run);
  return times;
}

void profile_engine(const EngineCase& call, std::int64_t length) {
  EngineRun run(call);
  run.begin_all(kShortPrompt, true);
  run.step_ms(length, kSteps);
  const cudaStream_t stream = run.decoder().stream();
  CHECK_CUDA(cudaStreamSynchronize(stream));
  CHECK_CUDA(cudaProfilerStart());
  run.decoder().step();
  CHECK_CUDA(cudaStreamSynchronize(stream));
  CHECK_CUDA(cudaProfilerStop());
}

}  // namespace bench
