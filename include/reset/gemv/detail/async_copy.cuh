/// @file
/// Copies from global to shared memory that a thread does not wait for: every target.
#pragma once

#include <cstdint>

#include <reset/config.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Copies kBytes (4, 8 or 16), both sides aligned to as many.
template <int kBytes>
__device__ __forceinline__ void async_copy(std::uint32_t shared, const void* global) {
  if constexpr (kBytes == 16) {
    // Not through the first level of cache, and by whole lines into the second: the neighbours are next.
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(shared), "l"(global) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(shared), "l"(global), "n"(kBytes) : "memory");
  }
}

/// Closes the group of copies that this thread has requested since the last one.
__device__ __forceinline__ void async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

#if __CUDA_ARCH__ >= 900 || !defined(__CUDA_ARCH__)

/// Arrives at a barrier once all copies that this thread has requested have landed.
__device__ __forceinline__ void async_arrive(std::uint32_t barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(barrier) : "memory");
}

#endif

/// Waits until all but this thread's latest kPending groups have landed.
template <int kPending>
__device__ __forceinline__ void async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace detail
RESET_NAMESPACE_END
