/// @file
/// The ring of kTensorRing in shared memory: sm_90 and later.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/ring.cuh>
#include <reset/gemv/detail/shared_memory.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {

#if __CUDA_ARCH__ >= 900 || !defined(__CUDA_ARCH__)

/// Stages of a CTA, each a tile of 16 rows of its slice of K, and their barriers.
struct TensorRing {
  std::uint32_t full;  // of a stage: the copies have landed
  std::uint32_t stages;
  std::uint32_t code_pitch;
  std::uint32_t scale_pitch;
  std::uint32_t stage_bytes;

  /// Copies want stages at multiples of 128: they come first in shared memory.
  __device__ __forceinline__ TensorRing(std::uint32_t memory, std::uint32_t barriers, int k_warps, bool odd)
      : full(barriers),
        stages(memory),
        code_pitch(static_cast<std::uint32_t>(tensor_code_pitch(k_warps, odd))),
        scale_pitch(static_cast<std::uint32_t>(tensor_scale_pitch(k_warps, odd))),
        stage_bytes(static_cast<std::uint32_t>(tensor_stage_bytes(k_warps, odd))) {}

  /// Where in a stage its scales begin.
  __device__ __forceinline__ std::uint32_t scales() const { return kMmaRows * code_pitch; }
  /// Its group has read a stage.
  __device__ __forceinline__ std::uint32_t empty() const { return full + kMaxRingStages * kBarrierBytes; }

  /// By a warp: scales beyond K, which no copy touches, are 0 in all stages. By fours: unrolled as the compiler likes,
  /// it has the loop that multiplies scheduled otherwise, which 16 tokens of bfloat16 feel.
  __device__ __forceinline__ void clear_scales(int count, int lane) const {
    const std::uint32_t words = kMmaRows * scale_pitch / 4;
    for (int stage = 0; stage < count; ++stage) {
      const std::uint32_t begin = stages + static_cast<std::uint32_t>(stage) * stage_bytes + scales();
#pragma unroll 4
      for (auto word = static_cast<std::uint32_t>(lane); word < words; word += 32) store_shared4(begin + word * 4, 0);
    }
  }

  /// By one thread: `writers` of a stage arrive when they have asked for its copies, `readers` when they have read it.
  /// Ends with the fence that makes barriers known to the cluster. Not by a lane each: lanes with different barriers
  /// are served one by one, in a loop with a fence in each turn, for a barrier's address must be uniform. By fours: a
  /// fence stands in front of each run of them.
  __device__ __forceinline__ void init_barriers(int count, int writers, int readers) const {
    static_assert(kMaxRingStages % 4 == 0, "there is room behind the last stage");
#pragma unroll 1
    for (int first = 0; first < count; first += 4) {
#pragma unroll
      for (int stage = first; stage < first + 4; ++stage) {
        const RingCursor own{stage, 0};
        barrier_init(full + own.barrier(), writers);
        barrier_init(empty() + own.barrier(), readers);
      }
    }
    barrier_init_fence();
  }
};

#endif

}  // namespace detail
RESET_NAMESPACE_END
