/// @file
/// From the sums of the warps that share rows to totals, without a barrier that anyone waits at in vain.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/barrier.cuh>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/lane_places.hpp>
#include <reset/gemv/detail/ring.cuh>
#include <reset/gemv/detail/shared_memory.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {

__device__ __forceinline__ float4 add(float4 a, float4 b) { return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w}; }
__device__ __forceinline__ float2 add(float2 a, float2 b) { return {a.x + b.x, a.y + b.y}; }

/// A lane's sums of a tile in a kernel for up to kTokens tokens: for each 8 of them four in the order of MmaSums; of
/// one token its parts of the sums of rows l / 4 and l / 4 + 8, which the four lanes of a row share.
template <int kTokens>
struct TileSums {
  using Type = float4;
  static constexpr int kCount = token_tiles(kTokens);
  Type part[kCount];
};
template <>
struct TileSums<1> {
  using Type = float2;
  static constexpr int kCount = 1;
  Type part[kCount];
};

/// The shared memory of a CTA but for its rings.
template <int kTokens>
struct TensorMemory {
  using Sums = TileSums<kTokens>;
  using Sum = typename Sums::Type;
  static constexpr int kTotal = tensor_total_bytes(kTokens) / 4;  // floats of a tile's total
  static constexpr int kTile = Sums::kCount * 32;                 // Sum of a warp's part of it
  static constexpr int kWarp = tensor_warp_bytes(kTokens) / static_cast<int>(sizeof(Sum));  // of a warp's slots

  float* totals;           // [tile][kTotal]: of the whole group
  Sum* slots;              // [warp][tensor_slots][kTile]: of each warp
  std::uint32_t barriers;  // [group][2][kMostTensorSlots]
  std::uint32_t end;

  __device__ __forceinline__ TensorMemory(std::uint8_t* memory, int tiles, int k_warps, int groups)
      : totals(reinterpret_cast<float*>(memory)),
        slots(reinterpret_cast<Sum*>(totals + tiles * kTotal)),
        barriers(shared_address(slots + k_warps * groups * kWarp)),
        end(barriers + static_cast<std::uint32_t>(groups * kTensorBarrierBytes)) {}
};

/// The barriers of a row group, and of them those of a slot: every warp has left its sums; they are added up.
__device__ __forceinline__ std::uint32_t group_barriers(std::uint32_t barriers, int group) {
  return barriers + static_cast<std::uint32_t>(group * kTensorBarrierBytes);
}
__device__ __forceinline__ std::uint32_t slot_full(std::uint32_t barriers, int slot) {
  return barriers + static_cast<std::uint32_t>(slot) * kBarrierBytes;
}
__device__ __forceinline__ std::uint32_t slot_empty(std::uint32_t barriers, int slot) {
  return slot_full(barriers, kMostTensorSlots + slot);
}

__device__ __forceinline__ void invalidate_group_barriers(std::uint32_t barriers, int group) {
#pragma unroll
  for (int i = 0; i < 2 * kMostTensorSlots; ++i) barrier_invalidate(slot_full(group_barriers(barriers, group), i));
}

/// By one thread of the group, before a barrier of the CTA: `warps` of the group have a part of the slice.
__device__ __forceinline__ void init_group_barriers(std::uint32_t barriers, int group, int warps) {
#pragma unroll
  for (int i = 0; i < kMostTensorSlots; ++i) {
    barrier_init(slot_full(group_barriers(barriers, group), i), warps * kWarpArrivals);
    barrier_init(slot_empty(group_barriers(barriers, group), i), kWarpArrivals);
  }
}

/// Of one token, the parts of the four lanes of a row added up: each of them has the total.
__device__ __forceinline__ float2 row_totals(const TileSums<1>& sums) {
  float2 total = sums.part[0];
#pragma unroll
  for (int distance = 1; distance <= 2; distance *= 2) {
    total.x += __shfl_xor_sync(0xffffffffu, total.x, distance);
    total.y += __shfl_xor_sync(0xffffffffu, total.y, distance);
  }
  return total;
}

/// Totals stay where the CTA can read them; `add_up`: added to those of the slices of K before.
struct LocalTotals {
  float* totals;
  bool add_up;
  int lane;

  template <int kTokens>
  __device__ __forceinline__ void put(int tile, const TileSums<kTokens>& sums) const {
#pragma unroll
    for (int n = 0; n < TileSums<kTokens>::kCount; ++n) {
      auto* total = reinterpret_cast<float4*>(totals + tile * TensorMemory<kTokens>::kTotal) + n * 32 + lane;
      *total = add_up ? add(*total, sums.part[n]) : sums.part[n];
    }
  }

  __device__ __forceinline__ void put(int tile, const TileSums<1>& sums) const {
    const float2 own = row_totals(sums);
    auto* total = reinterpret_cast<float2*>(totals + tile * TensorMemory<1>::kTotal) + lane / 4;
    if (lane % 4 == 0) *total = add_up ? add(*total, own) : own;
  }
};

/// Sums of the warps that share rows on their way to a total. A warp leaves its sums of a tile and goes on; one of the
/// group's warps, in turn, adds them up once it has done the next tile: then the others have left theirs. What becomes
/// of a total is up to `Totals`.
template <int kTokens, class Totals>
class RowGroup {
 public:
  using Memory = TensorMemory<kTokens>;
  using Sums = TileSums<kTokens>;
  using Sum = typename Sums::Type;

  /// `warps` of the group's `slot_warps` have a part of the slice.
  __device__ __forceinline__ RowGroup(const Memory& memory, Totals totals, int group, int groups, int k_warp, int warps,
                                      int slot_warps, int lane)
      : totals_(totals),
        slots_(shared_address(memory.slots + group * slot_warps * Memory::kWarp + lane)),
        barriers_(group_barriers(memory.barriers, group)),
        group_(group),
        groups_(groups),
        k_warp_(k_warp),
        warps_(warps),
        lane_(lane) {}

  /// By each of the warps: `tiles` tiles, one after the other; `next(sums)` makes the warp's sums of a tile.
  template <class Next>
  __device__ __forceinline__ void run(int tiles, Next next) const {
    std::uint32_t own = place(0, k_warp_, 0);
    if (kTokens != 8) own = computed_once(own);  // with 8 a register is short: it would be spilled
    RingCursor slot{0, 0};
    RingCursor before{0, 0};
    int turn = 0;  // whose is the tile before
#pragma unroll 1
    for (int tile = 0; tile < tiles; ++tile) {
      Sums sums;
      next(sums);
      if (tile >= kSlots) barrier_wait(slot_empty(barriers_, slot.stage), slot.parity ^ 1);
      leave(own + static_cast<std::uint32_t>(slot.stage * kSlotBytes), sums);
      __syncwarp();
      if (arrives_for_warp(lane_)) barrier_arrive(slot_full(barriers_, slot.stage));
      if (tile > 0) {
        if (turn == k_warp_) add_up(tile - 1, before);
        if (++turn == warps_) turn = 0;
      }
      before = slot;
      slot.advance(1, kSlots);
    }
    if (tiles > 0 && turn == k_warp_) add_up(tiles - 1, before);
  }

 private:
  static constexpr int kSlots = tensor_slots(kTokens);
  static constexpr int kSlotBytes = Memory::kTile * static_cast<int>(sizeof(Sum));

  __device__ __forceinline__ std::uint32_t place(int slot, int warp, int n) const {
    const int index = warp * Memory::kWarp + slot * Memory::kTile + n * 32;
    return slots_ + static_cast<std::uint32_t>(index) * static_cast<std::uint32_t>(sizeof(Sum));
  }

  __device__ __forceinline__ static void leave(std::uint32_t begin, const Sums& sums) {
#pragma unroll
    for (int n = 0; n < Sums::kCount; ++n) {
      store_shared(begin + static_cast<std::uint32_t>(n * 32) * static_cast<std::uint32_t>(sizeof(Sum)), sums.part[n]);
    }
  }

  __device__ __forceinline__ Sums left(int slot, int warp) const {
    Sums sums;
#pragma unroll
    for (int n = 0; n < Sums::kCount; ++n) load_shared(place(slot, warp, n), sums.part[n]);
    return sums;
  }

  /// Adds up the sums of the group's tile `tile` in the order of warps.
  __device__ __forceinline__ void add_up(int tile, const RingCursor& slot) const {
    barrier_wait(slot_full(barriers_, slot.stage), slot.parity);
    Sums total = left(slot.stage, 0);
#pragma unroll 4
    for (int warp = 1; warp < warps_; ++warp) {
      const Sums sums = left(slot.stage, warp);
#pragma unroll
      for (int n = 0; n < Sums::kCount; ++n) total.part[n] = add(total.part[n], sums.part[n]);
    }
    totals_.put(group_tile(group_, groups_, tile), total);
    __syncwarp();
    if (arrives_for_warp(lane_)) barrier_arrive(slot_empty(barriers_, slot.stage));
  }

  Totals totals_;
  std::uint32_t slots_;
  std::uint32_t barriers_;
  int group_;
  int groups_;
  int k_warp_;
  int warps_;
  int lane_;
};

}  // namespace detail
RESET_NAMESPACE_END
