/// @file
/// Barriers in shared memory at which arriving and waiting are apart.
#pragma once

#include <cstdint>

#include <reset/config.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// What a pointer to shared memory is there: 32 bits, one register where a pointer takes two.
__device__ __forceinline__ std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

/// Whether a program is built for compute-sanitizer's racecheck, which knows less of barriers than the hardware does.
/// Where a lane arrives for its warp, it takes that lane alone to have arrived; a warp that arrives and does not wait
/// it takes not to have; and behind a barrier at which some warps have met more often than others, it reports races
/// wherever all meet. With RESET_RACECHECK, in all files of a program, every lane arrives where one did for its warp,
/// who arrives at a barrier of the CTA's waits there, and warps meet equally often: an error that is reported then is
/// one.
#if defined(RESET_RACECHECK)
inline constexpr bool kForRacecheck = true;
#else
inline constexpr bool kForRacecheck = false;
#endif

/// Arrivals of a warp at a barrier at which one lane arrives for all, behind __syncwarp; and whether a lane does.
inline constexpr int kWarpArrivals = kForRacecheck ? 32 : 1;
__device__ __forceinline__ bool arrives_for_warp(int lane) { return kForRacecheck || lane == 0; }

/// Bytes of a barrier. Barriers are told by their addresses in shared memory.
inline constexpr std::uint32_t kBarrierBytes = 8;

__device__ __forceinline__ void barrier_init(std::uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

/// Before the place of a barrier is used for another one.
__device__ __forceinline__ void barrier_invalidate(std::uint32_t barrier) {
  asm volatile("mbarrier.inval.shared.b64 [%0];" ::"r"(barrier) : "memory");
}

__device__ __forceinline__ void barrier_arrive(std::uint32_t barrier) {
  // The state that the first form returns is of no use; sm_80 has no form without it.
  asm volatile(
      "{\n"
      ".reg .b64 state;\n"
      "mbarrier.arrive.shared.b64 state, [%0];\n"
      "}" ::"r"(barrier)
      : "memory");
}

/// Returns when the phase of that parity has completed.
__device__ __forceinline__ void barrier_wait(std::uint32_t barrier, std::uint32_t parity) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}" ::"r"(barrier),
      "r"(parity)
      : "memory");
#else
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.test_wait.parity.shared.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}" ::"r"(barrier),
      "r"(parity)
      : "memory");
#endif
}

}  // namespace detail
RESET_NAMESPACE_END
