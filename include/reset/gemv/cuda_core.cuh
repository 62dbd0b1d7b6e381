/// @file
/// kRing, the CUDA-core mat-vec kernel: a ring of bulk copies and exact integer dot products (sm_90 and later), of
/// NVFP4 activations as they are, of 16-bit ones rounded to integers of 16 bits. `gemv` launches it; `gemv_instance`
/// names it as it is compiled, for 1, 2 or 3 chunks of K a thread, for linear or swizzled block scales, and with one
/// chunk for 16-bit activations.
#pragma once

#include <cuda.h>

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/gemv/decode.cuh>
#include <reset/gemv/detail/epilogue.cuh>
#include <reset/gemv/detail/lane_places.hpp>
#include <reset/gemv/detail/prefetch.cuh>
#include <reset/gemv/detail/ring.cuh>
#include <reset/gemv/detail/ring_operands.cuh>
#include <reset/gemv/detail/ring_token.cuh>
#include <reset/gemv/detail/tile_rows.hpp>
#include <reset/gemv/detail/work_shares.hpp>
#include <reset/gemv/policy.hpp>
#include <reset/gemv/problem.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// What the ring kernel is told besides the problem.
struct RingShape {
  Cut tiles;             ///< Over CTAs.
  int warps_per_group;   ///< Warps that share a stage, each with its own part of K.
  int groups;            ///< Groups take turns at the stages.
  int stages;            ///< A multiple of `groups`.
  RingFlight in_flight;  ///< Of them, at once.
  bool contiguous;       ///< Whether the rows of a tile and their scales follow each other without gaps.
};

#if __CUDA_ARCH__ >= 900 || !defined(__CUDA_ARCH__)

/// The shared memory of a CTA: barriers, the sums of a group's warps for the latest tiles, and stages; a 16-bit token
/// (RingToken) behind them.
struct RingMemory {
  std::uint32_t full;        // of a stage: the copies have landed
  std::uint32_t empty;       // its group has read them
  std::uint32_t sums_full;   // of a slot of sums: the group has written them
  std::uint32_t sums_empty;  // the reducing warp has read them
  float* sums;               // [kRingSumSlots][warps of a group][sums of a tile]
  std::uint8_t* stages;

  __device__ __forceinline__ RingMemory(std::uint8_t* memory, int sums_of_group)
      : full(shared_address(memory)),
        empty(full + kMaxRingStages * kBarrierBytes),
        sums_full(empty + kMaxRingStages * kBarrierBytes),
        sums_empty(sums_full + kRingSumSlots * kBarrierBytes),
        sums(reinterpret_cast<float*>(memory + kRingBarrierBytes)),
        stages(memory + (kRingBarrierBytes + kRingSumSlots * sums_of_group * 4)) {}

  /// By all threads, before a barrier of the CTA. Every thread that touches sums arrives for itself.
  __device__ __forceinline__ void init_barriers(const RingShape& shape, int sums_of_tile) const {
    if (threadIdx.x == 0) {
      for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(shape.stages); ++i) {
        barrier_init(full + i * kBarrierBytes, 1);
        barrier_init(empty + i * kBarrierBytes, shape.warps_per_group * kWarpArrivals);
      }
      barrier_init_fence();
    } else if (threadIdx.x == 32) {
#pragma unroll
      for (std::uint32_t i = 0; i < kRingSumSlots; ++i) {
        barrier_init(sums_full + i * kBarrierBytes, shape.warps_per_group * sums_of_tile);
        barrier_init(sums_empty + i * kBarrierBytes, sums_of_tile);
      }
    }
  }
};

/// Slot and parity of the sums of a CTA's i-th tile.
__device__ __forceinline__ int sum_slot(int i) { return i % kRingSumSlots; }
__device__ __forceinline__ std::uint32_t sum_barrier(int i) {
  return static_cast<std::uint32_t>(sum_slot(i)) * kBarrierBytes;
}
__device__ __forceinline__ std::uint32_t sum_parity(int i) {
  return static_cast<std::uint32_t>(i / kRingSumSlots) & 1u;
}

/// The range of tiles that belongs to this CTA, and the extent of a row in shared memory. kSpread: swizzled block
/// scales, whose pieces are copied in boxes, with rows spread as these want it; a piece has those of four rows.
template <int kRows, bool kSpread>
struct RingWork {
  TileRows<kRows> rows;
  int weight_bytes;  // K / 2
  int scale_bytes;   // K / 16
  int first;
  int count;

  __device__ __forceinline__ RingWork(const GemvProblem& problem, Share tiles)
      : rows{problem.weights.rows, problem.gate != GemvGate::kNone, 0, outputs(problem), kSpread},
        weight_bytes(static_cast<int>(problem.weights.cols / 2)),
        scale_bytes(static_cast<int>(problem.weights.cols / 16)),
        first(tiles.first),
        count(tiles.count) {}

  __device__ __forceinline__ int stage_bytes() const {
    return kRows * weight_bytes + (kSpread ? kPieceRows : kRows) * scale_bytes;
  }

 private:
  static __device__ __forceinline__ int outputs(const GemvProblem& problem) {
    const std::int64_t n = problem.weights.rows;
    return static_cast<int>(problem.gate != GemvGate::kNone ? n / 2 : n);
  }
};

/// Where the rows of a call and their block scales begin, and the bytes from one to the next.
struct RingSource {
  const std::uint8_t* weights;
  const std::uint8_t* scales;
  std::int64_t weight_stride;
  std::int64_t scale_stride;

  __device__ __forceinline__ explicit RingSource(const Nvfp4MatrixView& view)
      : weights(view.packed),
        scales(view.block_scale.data + view.block_scale.offset(0, 0)),
        weight_stride(view.row_stride),
        scale_stride(view.block_scale.stride) {}
};

/// Requests the CTA's tiles where rows follow each other without gaps: two copies each, by one thread. It has a
/// scheduler's share among warps that compute, so the loop is short.
template <int kRows>
__device__ __forceinline__ void produce_whole(const RingSource& source, const RingShape& shape,
                                              const RingWork<kRows, false>& work, const RingMemory& memory) {
  const std::int64_t first_row = static_cast<std::int64_t>(work.first) * kRows;
  const std::uint8_t* weights = source.weights + first_row * work.weight_bytes;
  const std::uint8_t* scales = source.scales + first_row * work.scale_bytes;
  auto rows_left = static_cast<int>(work.rows.rows - first_row);
  RingCursor cursor{0, 1};
  StagesInFlight flight(shape.in_flight);
  for (int i = 0; i < work.count; ++i) {
    // What the last tile lacks stays as it is in the stage: its sums are not stored.
    const int rows = rows_left < kRows ? rows_left : kRows;
    const std::uint32_t full = memory.full + cursor.barrier();
    std::uint8_t* stage = memory.stages + cursor.stage * work.stage_bytes();
    if (i >= shape.stages) barrier_wait(memory.empty + cursor.barrier(), cursor.parity);
    flight.wait_for_room(i, memory.full, shape.stages);
    barrier_arrive_expecting(full, static_cast<std::uint32_t>(rows * (work.weight_bytes + work.scale_bytes)));
    bulk_copy(shared_address(stage), weights, static_cast<std::uint32_t>(rows * work.weight_bytes), full);
    bulk_copy(shared_address(stage + kRows * work.weight_bytes), scales,
              static_cast<std::uint32_t>(rows * work.scale_bytes), full);
    weights += kRows * work.weight_bytes;
    scales += kRows * work.scale_bytes;
    rows_left -= kRows;
    cursor.advance(1, shape.stages);
  }
}

/// Requests the CTA's tiles row by row, a lane each. Slots beyond the last row repeat it.
template <int kRows>
__device__ __forceinline__ void produce_rows(const RingSource& source, const RingShape& shape,
                                             const RingWork<kRows, false>& work, const RingMemory& memory, int lane) {
  RingCursor cursor{0, 1};
  StagesInFlight flight(shape.in_flight);
  for (int i = 0; i < work.count; ++i) {
    if (lane < kRows) {
      const std::int64_t row = work.rows.readable_row(work.first + i, lane);
      const std::uint32_t full = memory.full + cursor.barrier();
      std::uint8_t* stage = memory.stages + cursor.stage * work.stage_bytes();
      if (i >= shape.stages) barrier_wait(memory.empty + cursor.barrier(), cursor.parity);
      flight.wait_for_room(i, memory.full, shape.stages);
      // Bytes may land before they are expected: this phase cannot end without the one arrival.
      if (lane == 0) barrier_arrive_expecting(full, static_cast<std::uint32_t>(work.stage_bytes()));
      bulk_copy(shared_address(stage + lane * work.weight_bytes), source.weights + row * source.weight_stride,
                static_cast<std::uint32_t>(work.weight_bytes), full);
      bulk_copy(shared_address(stage + (kRows * work.weight_bytes + lane * work.scale_bytes)),
                source.scales + row * source.scale_stride, static_cast<std::uint32_t>(work.scale_bytes), full);
    }
    __syncwarp();
    cursor.advance(1, shape.stages);
  }
}

/// Requests the CTA's tiles where rows are spread, by one thread: the rows' weights, and a box of their scales or two,
/// which want multiples of 128 in shared memory (K is a multiple of 512, and so are a stage and its codes one of 128).
template <int kRows>
__device__ __forceinline__ void produce_spread(const RingSource& source, const CUtensorMap& scales,
                                               const RingShape& shape, const RingWork<kRows, true>& work,
                                               const RingMemory& memory) {
  static_assert(kRingBarrierBytes % 128 == 0 && kRingSumSlots * kRows * 4 % 128 == 0,
                "stages begin at multiples of 128");
  const int pieces = work.weight_bytes / 32;
  const int box = ring_box_pieces(2 * work.weight_bytes);
  const int boxes = box < pieces ? 2 : 1;
  RingCursor cursor{0, 1};
  StagesInFlight flight(shape.in_flight);
  for (int i = 0; i < work.count; ++i) {
    const auto row = static_cast<int>(work.rows.row(work.first + i, 0));
    const std::uint32_t full = memory.full + cursor.barrier();
    const std::uint32_t stage = shared_address(memory.stages + cursor.stage * work.stage_bytes());
    const std::uint32_t scale = stage + static_cast<std::uint32_t>(kRows * work.weight_bytes);
    const std::uint8_t* weights = source.weights + row * source.weight_stride;
    if (i >= shape.stages) barrier_wait(memory.empty + cursor.barrier(), cursor.parity);
    flight.wait_for_room(i, memory.full, shape.stages);
    barrier_arrive_expecting(full, static_cast<std::uint32_t>(kRows * work.weight_bytes + boxes * box * 16));
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      bulk_copy(stage + static_cast<std::uint32_t>(r * work.weight_bytes),
                weights + r * kSpreadRows * source.weight_stride, static_cast<std::uint32_t>(work.weight_bytes), full);
    }
    box_copy(scale, &scales, scale_tile_place(row, 0), full);
    if (boxes == 2) {
      box_copy(scale + static_cast<std::uint32_t>((pieces - box) * 16), &scales, scale_tile_place(row, pieces - box),
               full);
    }
    cursor.advance(1, shape.stages);
  }
}

/// The producing warp: keeps stages of the ring on their way, and the others filled. It asks for the first stages
/// before the wait of a dependent launch: no kernel writes weights.
template <int kRows, bool kSpread>
__device__ __forceinline__ void produce(const GemvProblem& problem, const CUtensorMap& scales, const RingShape& shape,
                                        const RingWork<kRows, kSpread>& work, const RingMemory& memory, int lane) {
  const RingSource source(problem.weights);
  if constexpr (kSpread) {
    if (lane == 0) produce_spread(source, scales, shape, work, memory);
  } else if (!shape.contiguous || work.rows.gated) {
    produce_rows(source, shape, work, memory, lane);
  } else if (lane == 0) {
    produce_whole(source, shape, work, memory);
  }
  __syncwarp();
  wait_for_dependencies();
}

/// The sum of the sums of a group's warps, in the order of the warps.
template <int kRows, int kMostWarps>
__device__ __forceinline__ float group_sum(const float* sums, int warps) {
  float parts[kMostWarps];
#pragma unroll
  for (int w = 0; w < kMostWarps; ++w) parts[w] = w < warps ? sums[w * kRows] : 0.0f;
  float total = 0;
#pragma unroll
  for (int w = 0; w < kMostWarps; ++w) total += parts[w];
  return total;
}

/// The reducing warp: adds the sums of a group's warps and stores the results, while the others go on. The lanes share
/// several tiles, so that the latencies of one pass hide behind each other; half of the slots are then free meanwhile.
template <int kMostWarps, int kRows, bool kSpread>
__device__ __forceinline__ void reduce(const GemvProblem& problem, const RingShape& shape,
                                       const RingWork<kRows, kSpread>& work, const RingMemory& memory, float unit,
                                       int lane) {
  constexpr int kBatch = 32 / kRows < kRingSumSlots / 2 ? 32 / kRows : kRingSumSlots / 2;
  wait_for_dependencies();
  const Epilogue epilogue(problem, unit);
  const int slot = lane % kRows;
  const int turn = lane / kRows;
  for (int first = 0; first < work.count; first += kBatch) {
    const int i = first + turn;
    const bool active = turn < kBatch && i < work.count;
    float total = 0;
    if (active) {
      barrier_wait(memory.sums_full + sum_barrier(i), sum_parity(i));
      total = group_sum<kRows, kMostWarps>(memory.sums + (sum_slot(i) * kRows * shape.warps_per_group + slot),
                                           shape.warps_per_group);
      barrier_arrive(memory.sums_empty + sum_barrier(i));
    }
    __syncwarp();
    epilogue.store(work.rows, work.first + i, 0, slot, total, active);
  }
}

/// The warps that compute wait for each other.
__device__ __forceinline__ void computing_warps_sync(int threads) {
  asm volatile("barrier.cta.sync 1, %0;" ::"r"(threads) : "memory");
}

/// The warps that compute: group `group` takes every `groups`-th stage, and a thread of it keeps its part of K.
template <int kChunks, int kRows, RingOperands kOperands>
__device__ __forceinline__ void consume(const GemvProblem& problem, const RingShape& shape,
                                        const RingWork<kRows, kOperands == RingOperands::kSpread>& work,
                                        const RingMemory& memory, int warp, int lane) {
  const int group = warp / shape.warps_per_group;
  const int part = warp % shape.warps_per_group;
  const int thread = part * 32 + lane;
  const int stride = shape.warps_per_group * 32;
  const auto x = [&] {
    if constexpr (kOperands == RingOperands::kDense) {
      wait_for_dependencies();
      const auto cols = static_cast<int>(problem.weights.cols);
      const RingToken token(memory.stages + shape.stages * work.stage_bytes(), cols);
      token.round(problem.activations, warp * 32 + lane, stride * shape.groups);
      computing_warps_sync(stride * shape.groups);
      return RingIntegers(token, thread);
    } else {
      return RingActivations<kChunks>(problem.activations.nvfp4, thread, stride, AtDependencies());
    }
  }();
  int chunk[kChunks];
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    const int wanted = ring_chunk(thread, stride, c);
    chunk[c] = wanted < work.weight_bytes / 16 ? wanted : 0;
  }

  RingCursor cursor{group, 0};
  for (int i = group; i < work.count; i += shape.groups) {
    barrier_wait(memory.full + cursor.barrier(), cursor.parity);
    const std::uint8_t* weights = memory.stages + cursor.stage * work.stage_bytes();
    const std::uint8_t* scales = weights + kRows * work.weight_bytes;
    float sums[kRows] = {};
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int c = 0; c < kChunks; ++c) {
        const uint4 codes = *reinterpret_cast<const uint4*>(weights + (r * work.weight_bytes + chunk[c] * 16));
        const RingScales<kRows, kOperands == RingOperands::kSpread> scale(scales, work.scale_bytes, work.first + i,
                                                                          chunk[c]);
        x.add(c, codes, decode_scales(scale.pair(r)), sums[r]);
      }
    }
    __syncwarp();
    if (arrives_for_warp(lane)) barrier_arrive(memory.empty + cursor.barrier());
    const float sum = warp_sums<kRows>(sums, lane);
    if (lane % (32 / kRows) == 0) {
      if (i >= kRingSumSlots) barrier_wait(memory.sums_empty + sum_barrier(i), sum_parity(i) ^ 1);
      memory.sums[(sum_slot(i) * shape.warps_per_group + part) * kRows + warp_sum_index<kRows>(lane)] = sum;
      barrier_arrive(memory.sums_full + sum_barrier(i));
    }
    __syncwarp();
    cursor.advance(shape.groups, shape.stages);
  }
}

#endif

inline namespace RESET_ARCH_NAMESPACE {

/// A CTA owns a range of tiles of kRows rows. One warp requests them as bulk copies into a ring of stages; groups of
/// warps take turns at the stages, each thread with its activations in registers; one warp adds up and stores. No
/// barrier of the whole CTA stands in the loop.
///
/// Needs K a multiple of 256, rows of weights and linear block scales aligned to 16 bytes, and one token, it or its
/// codes aligned to 16 bytes; kSpread: swizzled scales instead (`ring_scale_tiles`).
template <int kChunks, int kRows, RingOperands kOperands>
static __global__ void __launch_bounds__(ring_max_threads(kChunks, kOperands == RingOperands::kDense), kRingMinCtas)
    gemv_ring(const __grid_constant__ GemvProblem problem, const __grid_constant__ RingShape shape,
              const __grid_constant__ CUtensorMap scales, const __grid_constant__ Prefetch prefetch) {
#if __CUDA_ARCH__ >= 900
  extern __shared__ __align__(128) std::uint8_t ring_memory[];
  constexpr bool kSpread = kOperands == RingOperands::kSpread;
  const RingWork<kRows, kSpread> work(problem, shape.tiles.share(static_cast<int>(blockIdx.x)));
  const RingMemory memory(ring_memory, kRows * shape.warps_per_group);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (kSpread && threadIdx.x == 0) prefetch_map(&scales);
  memory.init_barriers(shape, kRows);
  release_dependents();
  __syncthreads();
  const int consumers = shape.warps_per_group * shape.groups;
  if (warp < consumers) {
    consume<kChunks, kRows, kOperands>(problem, shape, work, memory, warp, lane);
  } else if (warp == consumers) {
    produce(problem, scales, shape, work, memory, lane);
    prefetch_share(prefetch, lane);
  } else {
    // Weights are doubled, and so are NVFP4 activations.
    constexpr float kUnit = kOperands == RingOperands::kDense ? 0.5f : 0.25f;
    reduce<ring_max_group(kChunks)>(problem, shape, work, memory, kUnit, lane);
  }
#endif
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
