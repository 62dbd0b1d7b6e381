/// @file
/// The parts of a ring of shared memory: where in it a warp is, and, on sm_90 and later, how bulk copies fill it.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/barrier.cuh>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/shared_memory.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {

#if __CUDA_ARCH__ >= 900 || !defined(__CUDA_ARCH__)

/// Makes initialised barriers known to the engine that copies in bulk.
__device__ __forceinline__ void barrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/// Arrives, and tells the barrier to wait for as many bytes of bulk copies besides.
__device__ __forceinline__ void barrier_arrive_expecting(std::uint32_t barrier, std::uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

/// Copies a multiple of 16 bytes, both sides aligned to 16; the barrier counts them when they have landed.
__device__ __forceinline__ void bulk_copy(std::uint32_t shared, const void* global, std::uint32_t bytes,
                                          std::uint32_t barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(shared),
               "l"(global), "r"(bytes), "r"(barrier)
               : "memory");
}

/// Before bulk copies write where this thread has written: they are ordered with its writes then.
__device__ __forceinline__ void bulk_copies_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/// Where in a tensor of three dimensions a box begins, the one whose elements are neighbours first.
struct BoxPlace {
  int x;
  int y;
  int z;
};

/// Where pieces of swizzled tiles begin (mapped_scale_tiles): those of `row` and the rows that are spread with it, from
/// the `tile`-th along K on. A row has 8 elements of two bytes of a tile, with the rows 32, 64 and 96 behind it.
__device__ __forceinline__ BoxPlace scale_tile_place(int row, int tile) {
  return {row % kSpreadRows * 8, tile, row / static_cast<int>(kScaleTileRows)};
}

/// Asks for a tensor map, by one thread, before the first copy needs it.
__device__ __forceinline__ void prefetch_map(const void* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

/// Copies the box of a tensor map that begins there; the barrier counts the bytes of the whole box when they have
/// landed. Aligned to 128 in shared memory.
__device__ __forceinline__ void box_copy(std::uint32_t shared, const void* map, const BoxPlace& place,
                                         std::uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], "
      "[%5];" ::"r"(shared),
      "l"(map), "r"(place.x), "r"(place.y), "r"(place.z), "r"(barrier)
      : "memory");
}

#endif

/// Which stage of a ring is next, and the parity of its present pass.
struct RingCursor {
  int stage;
  std::uint32_t parity;

  /// Offset of the stage's barrier in an array of them.
  __device__ __forceinline__ std::uint32_t barrier() const { return static_cast<std::uint32_t>(stage) * kBarrierBytes; }

  /// `step` divides `stages`: a stage that others used in between could be a whole lap behind.
  __device__ __forceinline__ void advance(int step, int stages) {
    stage += step;
    if (stage >= stages) {
      stage -= stages;
      parity ^= 1;
    }
  }
};

#if __CUDA_ARCH__ >= 900 || !defined(__CUDA_ARCH__)

/// Holds a producer back while as many of its stages are on their way as may be, no more than there are.
class StagesInFlight {
 public:
  __device__ __forceinline__ explicit StagesInFlight(const RingFlight& most) : most_(most) {}

  /// Before tile `tile` is asked for, one after the other; `full`: where the ring's barriers begin.
  __device__ __forceinline__ void wait_for_room(int tile, std::uint32_t full, int stages) {
    if (tile - landed_ < (tile < stages ? most_.first_lap : most_.later)) return;
    barrier_wait(full + oldest_.barrier(), oldest_.parity);
    oldest_.advance(1, stages);
    ++landed_;
  }

 private:
  RingFlight most_;
  RingCursor oldest_{0, 0};
  int landed_ = 0;  // of the tiles asked for, as far as anyone has waited
};

#endif

}  // namespace detail
RESET_NAMESPACE_END
