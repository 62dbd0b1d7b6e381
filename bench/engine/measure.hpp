// Times of one engine: one model's shapes, one form of its weights, one batch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bench {

enum class EngineKind { kBf16, kW4A16, kW4A4 };

const char* name_of(EngineKind kind);

struct EngineCase {
  std::string model;  // as engine::cuda::published_config knows it
  EngineKind kind = EngineKind::kBf16;
  bool nvfp4_head = false;
  std::int32_t batch = 1;
  std::int64_t context = 0;  // tokens a sequence can hold
};

// A step at a length of the context.
struct StepTime {
  std::int64_t length = 0;
  double milliseconds = 0;
};

struct EngineTimes {
  double prompt_ms = 0;           // of one sequence's prompt, its first token sampled
  std::vector<StepTime> reset;    // with the policy
  std::vector<StepTime> plain;    // at a fixed temperature
  double full_run_ms = 0;         // every step from the prompt on, where asked for; 0: not
  std::int64_t weight_bytes = 0;  // what a step reads of them
  std::int64_t cache_bytes = 0;   // of one token of one sequence
};

// Sequences stand at each of `lengths` in turn, for 50 steps around it. `full_run`: tokens that are generated one by
// one besides; 0: none.
EngineTimes measure_engine(const EngineCase& engine, std::int64_t prompt, const std::vector<std::int64_t>& lengths,
                           std::int64_t full_run);

// One decode step, launch by launch, between cudaProfilerStart and cudaProfilerStop.
void profile_engine(const EngineCase& engine, std::int64_t length);

}  // namespace bench
