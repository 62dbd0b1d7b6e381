// The small kernels of a step: rows of the residual stream, and what a decode step knows of each sequence.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include <reset/sampler/sampler_types.hpp>

#include "stream.hpp"

namespace engine::cuda {

// What a captured decode step finds in device memory, one of each a slot, so that replays need no new arguments.
struct StepRows {
  std::int32_t* positions = nullptr;             // of the token that the step reads; negative: the slot does not run
  const std::int32_t* tokens = nullptr;          // what the sampler has drawn
  const reset::SampledToken* results = nullptr;  // and why
  // Where results go for the host to read: [step % log_depth][slot], in memory that the device can write.
  reset::SampledToken* log = nullptr;
  std::int32_t* steps = nullptr;  // steps so far, as each slot counts them
  int log_depth = 0;
  int slots = 0;
  std::int32_t capacity = 0;  // positions of a slot: one that is full runs no further
};

// Row m of `hidden` is the embedding of slot m's token. Every running slot moves to its next position; what the sampler
// said of the token goes to the log.
void embed_step(const StepRows& rows, const __nv_bfloat16* embedding, std::int64_t cols, __nv_bfloat16* hidden,
                const Stream& stream);

// A slot stands at `position` from now on; negative: it does not run.
void place_slot(const StepRows& rows, std::int32_t slot, std::int32_t position, const Stream& stream);

// Row m of `hidden` is the embedding of tokens[m].
void embed_prompt(const std::int32_t* tokens, std::int64_t count, const __nv_bfloat16* embedding, std::int64_t cols,
                  __nv_bfloat16* hidden, const Stream& stream);

// RMSNorm of `rows` rows of `cols` values, a multiple of 8 and at most kMaxNormColumns.
constexpr std::int64_t kMaxNormColumns = 16384;
void rms_norm(const __nv_bfloat16* x, const __nv_bfloat16* weight, float epsilon, std::int64_t rows, std::int64_t cols,
              __nv_bfloat16* out, const Stream& stream);

// silu(gate) * up of rows [gate | up] of 2 * cols values, cols a multiple of 8.
void silu_mul(const __nv_bfloat16* gate_up, std::int64_t rows, std::int64_t cols, __nv_bfloat16* out,
              const Stream& stream);

}  // namespace engine::cuda
