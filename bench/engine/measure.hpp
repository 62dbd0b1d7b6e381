// Times of one engine: one model's shapes, one form of its weights, one batch.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "decoder.hpp"
#include "device_buffer.hpp"
#include "device_weights.hpp"

namespace bench {

enum class EngineKind { kBf16, kW4A16, kW4A4 };

const char* name_of(EngineKind kind);
// Throws reset::Error for other names.
EngineKind engine_kind(const std::string& name);

struct EngineCase {
  std::string model;  // as engine::cuda::published_config knows it
  EngineKind kind = EngineKind::kBf16;
  bool nvfp4_head = false;
  std::int32_t batch = 1;
  std::int64_t context = 0;  // tokens a sequence can hold
  std::int64_t layers = 0;   // 0: as many as the model has
};

// A step at a length of the context.
struct StepTime {
  std::int64_t length = 0;
  double milliseconds = 0;
};

struct EngineTimes {
  double prompts_ms = 0;          // of all sequences' prompts, read together, their first tokens sampled
  std::vector<StepTime> reset;    // with the policy
  std::vector<StepTime> plain;    // at a fixed temperature, where compared
  std::vector<double> costs;      // of the policy, as shares of a step: pairs of measurements one after the other
  double full_run_ms = 0;         // every step from the prompt on, where asked for; 0: not
  std::int64_t weight_bytes = 0;  // what a step reads of them
  std::int64_t cache_bytes = 0;   // of one token of one sequence
};

// Sequences stand at each of `lengths` in turn, for 50 steps around it. What the policy costs is measured where a step
// takes the least, W4A16 with a BF16 head: with and without it in turn, four times at each length, of which `reset` and
// `plain` hold medians. `full_run`: tokens that are generated one by
// one besides; 0: none.
EngineTimes measure_engine(const EngineCase& engine, std::int64_t prompt, const std::vector<std::int64_t>& lengths,
                           std::int64_t full_run);

// An engine with random weights whose sequences stand where a measurement wants them.
class EngineRun {
 public:
  explicit EngineRun(const EngineCase& engine);

  engine::cuda::Decoder& decoder() { return decoder_; }
  const engine::cuda::DeviceWeights& weights() const { return weights_; }

  // Every slot reads a prompt of that length, all together; milliseconds. `policy`: with ReSET, or at its higher
  // temperature throughout.
  double begin_all(std::int64_t length, bool policy);
  // Of one step, the mean of `steps` around a length of the context.
  double step_ms(std::int64_t length, int steps);
  // Of so many steps from where the sequences stand.
  double steps_ms(std::int64_t steps);

 private:
  double milliseconds(const std::function<void()>& work);
  void require_sound(std::int64_t step) const;

  EngineCase engine_;
  engine::cuda::DeviceWeights weights_;
  engine::cuda::Decoder decoder_;
  engine::cuda::OwnedEvent begin_;
  engine::cuda::OwnedEvent end_;
};

// One decode step, launch by launch, between cudaProfilerStart and cudaProfilerStop.
void profile_engine(const EngineCase& engine, std::int64_t length);

}  // namespace bench
