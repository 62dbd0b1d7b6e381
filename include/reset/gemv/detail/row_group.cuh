/// @file
/// From the sums of the warps that share rows to totals, without a barrier that anyone waits at in vain.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/barrier.cuh>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/shared_memory.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {

__device__ __forceinline__ float4 add(float4 a, float4 b) { return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w}; }

/// The shared memory of a CTA but for its rings.
template <int kTokenTiles>
struct TensorMemory {
  static constexpr int kTile = kTokenTiles * 32;  // float4 of a tile's sums, four a lane and mma
  static constexpr int kBatch = tensor_batch(kTokenTiles);
  static constexpr int kWarp = kTensorBatches * kBatch * kTile;  // float4 of a warp's batches

  float4* totals;          // [tile][kTile]: of the whole group
  float4* batches;         // [warp][kTensorBatches][kBatch][kTile]: of each warp
  std::uint32_t barriers;  // [group][2][kTensorBatches]
  std::uint32_t end;

  __device__ __forceinline__ TensorMemory(std::uint8_t* memory, int tiles, int k_warps, int groups)
      : totals(reinterpret_cast<float4*>(memory)),
        batches(totals + tiles * kTile),
        barriers(shared_address(batches + k_warps * groups * kWarp)),
        end(barriers + static_cast<std::uint32_t>(groups * kTensorBarrierBytes)) {}
};

/// The barriers of a row group, and of them those of a batch: every warp has left its sums; it is added up.
__device__ __forceinline__ std::uint32_t group_barriers(std::uint32_t barriers, int group) {
  return barriers + static_cast<std::uint32_t>(group * kTensorBarrierBytes);
}
__device__ __forceinline__ std::uint32_t batch_full(std::uint32_t barriers, int buffer) {
  return barriers + static_cast<std::uint32_t>(buffer) * kBarrierBytes;
}
__device__ __forceinline__ std::uint32_t batch_empty(std::uint32_t barriers, int buffer) {
  return batch_full(barriers, kTensorBatches + buffer);
}

__device__ __forceinline__ void invalidate_group_barriers(std::uint32_t barriers, int group) {
#pragma unroll
  for (int i = 0; i < 2 * kTensorBatches; ++i) barrier_invalidate(batch_full(group_barriers(barriers, group), i));
}

/// By one thread of the group, before a barrier of the CTA: `warps` of the group have a part of the slice.
__device__ __forceinline__ void init_group_barriers(std::uint32_t barriers, int group, int warps) {
#pragma unroll
  for (int i = 0; i < kTensorBatches; ++i) {
    barrier_init(batch_full(group_barriers(barriers, group), i), warps);
    barrier_init(batch_empty(group_barriers(barriers, group), i), 1);
  }
}

/// Totals stay where the CTA can read them; `add`: to those of the slices of K before.
template <int kTokenTiles>
struct LocalTotals {
  float4* totals;
  bool add_up;
  int lane;

  __device__ __forceinline__ void put(int tile, int n, float4 sum) const {
    float4* total = totals + tile * TensorMemory<kTokenTiles>::kTile + n * 32 + lane;
    *total = add_up ? add(*total, sum) : sum;
  }
};

/// Sums of the warps that share rows on their way to a total. A warp leaves its sums of a batch of tiles and goes on;
/// one of the group's warps, in turn, adds the batch up once it has done the next: then the others have left theirs.
/// What becomes of a total is up to `Totals`.
template <int kTokenTiles, class Totals>
class RowGroup {
 public:
  using Memory = TensorMemory<kTokenTiles>;
  static constexpr int kBatch = Memory::kBatch;

  /// `warps` of the group's `slot_warps` have a part of the slice.
  __device__ __forceinline__ RowGroup(const Memory& memory, Totals totals, int group, int groups, int k_warp, int warps,
                                      int slot_warps, int lane)
      : totals_(totals),
        slots_(shared_address(memory.batches + group * slot_warps * Memory::kWarp + lane)),
        full_(group_barriers(memory.barriers, group)),
        first_tile_(group),
        step_(groups),
        k_warp_(k_warp),
        warps_(warps),
        lane_(lane) {}

  /// After the last tile.
  __device__ __forceinline__ void finish() const {
    if (turn_ == k_warp_) add_batch(batch_, place_);
  }

  /// Leaves a warp's sums of the next tile; `last`: it is the warp's last.
  __device__ __forceinline__ void put(const float4 (&sums)[kTokenTiles], bool last) {
    if (place_ == 0 && batch_ >= kTensorBatches) barrier_wait(empty(buffer_), parity_ ^ 1);
#pragma unroll
    for (int n = 0; n < kTokenTiles; ++n) store_shared16(slot(buffer_, place_, k_warp_, n), sums[n]);
    if (++place_ < kBatch && !last) return;
    __syncwarp();
    if (lane_ == 0) barrier_arrive(full(buffer_));
    if (batch_ > 0 && turn_ == k_warp_) add_batch(batch_ - 1, kBatch);
    if (batch_ > 0 && ++turn_ == warps_) turn_ = 0;
    if (last) return;  // `finish` adds this batch up
    place_ = 0;
    ++batch_;
    if (++buffer_ == kTensorBatches) {
      buffer_ = 0;
      parity_ ^= 1;
    }
  }

 private:
  __device__ __forceinline__ std::uint32_t full(int buffer) const { return batch_full(full_, buffer); }
  __device__ __forceinline__ std::uint32_t empty(int buffer) const { return batch_empty(full_, buffer); }

  __device__ __forceinline__ std::uint32_t slot(int buffer, int place, int warp, int n) const {
    return slots_ +
           static_cast<std::uint32_t>((warp * Memory::kWarp + (buffer * kBatch + place) * Memory::kTile + n * 32) * 16);
  }
  __device__ __forceinline__ float4 sums_at(int buffer, int place, int warp, int n) const {
    const uint4 bits = load_shared16<0>(slot(buffer, place, warp, n));
    return {__uint_as_float(bits.x), __uint_as_float(bits.y), __uint_as_float(bits.z), __uint_as_float(bits.w)};
  }

  /// Adds up the sums of a batch of `count` tiles in the order of warps.
  __device__ __forceinline__ void add_batch(int batch, int count) const {
    const int buffer = batch % kTensorBatches;
    barrier_wait(full(buffer), static_cast<std::uint32_t>(batch / kTensorBatches) & 1u);
    for (int place = 0; place < count; ++place) {
#pragma unroll
      for (int n = 0; n < kTokenTiles; ++n) {
        float4 sum = sums_at(buffer, place, 0, n);
#pragma unroll 4
        for (int warp = 1; warp < warps_; ++warp) sum = add(sum, sums_at(buffer, place, warp, n));
        totals_.put(first_tile_ + (batch * kBatch + place) * step_, n, sum);
      }
    }
    __syncwarp();
    if (lane_ == 0) barrier_arrive(empty(buffer));
  }

  Totals totals_;
  std::uint32_t slots_;
  std::uint32_t full_;
  int first_tile_;
  int step_;
  int k_warp_;
  int warps_;
  int lane_;
  int place_ = 0;  // in the batch
  int batch_ = 0;
  int buffer_ = 0;  // batch_ % kTensorBatches
  std::uint32_t parity_ = 0;
  int turn_ = 0;  // whose is the batch before the present one
};

}  // namespace detail
RESET_NAMESPACE_END
