/// @file
/// kTensorRing, the tensor-core mat-vec kernel whose weights come by bulk copies (sm_90 and later): in boxes of rows
/// where K is a multiple of 64 and rows are aligned, row by row elsewhere. `gemv` launches it; `gemv_instance` names it
/// as it is compiled, for 1, 8 or 16 tokens, kinds of activations and of rows.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/gemv/detail/box_rows.cuh>
#include <reset/gemv/detail/item_weights.cuh>
#include <reset/gemv/detail/odd_rows.cuh>
#include <reset/gemv/detail/prefetch.cuh>
#include <reset/gemv/detail/ring.cuh>
#include <reset/gemv/detail/shared_memory.cuh>
#include <reset/gemv/detail/tensor_map.cuh>
#include <reset/gemv/detail/tensor_stages.cuh>
#include <reset/gemv/detail/tile_rows.hpp>
#include <reset/gemv/detail/work_shares.hpp>
#include <reset/gemv/policy.hpp>
#include <reset/gemv/problem.hpp>
#include <reset/gemv/tensor_core.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {

/// What the kernel is told besides the problem.
struct TensorRingShape {
  Cut runs;     ///< Runs of outputs over clusters.
  Cut units;    ///< 256 of K each, over the CTAs of a cluster.
  int k_warps;  ///< Warps that share rows: the most units that a CTA has.
  int groups;   ///< Such sets of warps, which take turns at the stages.
  int stages;
  RingFlight in_flight;      ///< Of them, at once.
  int part_tiles;            ///< Tiles of the largest share of outputs, over the CTAs of a cluster.
  bool words;                ///< Whether scales come in runs of four: see ScaleCopies.
  int log_cluster;           ///< Logarithm to base 2 of the CTAs of a cluster.
  int activation_alignment;  ///< The largest power of two up to 16 that divides the address of every row of
                             ///< activations.
  std::uint32_t odd_step;    ///< Where rows come one by one: see there.
};

#if __CUDA_ARCH__ >= 900 || !defined(__CUDA_ARCH__)

/// By a warp, of one token or two: asks for what is added to the CTA's results, `count` of its tiles, so that those
/// who store them find it in the first-level cache. More would keep the warp from what it has to request.
__device__ __forceinline__ void touch_residual(const GemvProblem& problem, const TileRows<kMmaRows>& rows, int first,
                                               int step, int count, int lane) {
  if (problem.residual == nullptr || problem.tokens > 2) return;
  const std::int64_t bytes = element_bytes(problem.output.type);
  const int log_outputs = rows.gated ? 3 : 4;  // of a tile
  const int columns = count << log_outputs;
#pragma unroll 1
  for (int i = lane; i < columns * static_cast<int>(problem.tokens); i += 32) {
    const int token = i < columns ? 0 : 1;
    const int column = i - token * columns;
    const int tile = first + (column >> log_outputs) * step;
    const int slot = column & ((1 << log_outputs) - 1);
    if (!rows.holds(tile, slot)) continue;
    const auto* place = static_cast<const std::uint8_t*>(problem.residual) +
                        (token * problem.output.row_stride + rows.row(tile, slot)) * bytes;
    asm volatile("prefetch.global.L1 [%0];" ::"l"(place));
  }
}

/// Keeps up to `in_flight` of the stages on their way, the first ones before the wait of a dependent launch: no kernel
/// writes weights.
template <class Producer>
__device__ __forceinline__ void produce_tiles(const Producer& producer, const TensorRing& ring, int stages,
                                              const RingFlight& in_flight, int tiles) {
  RingCursor cursor{0, 1};
  StagesInFlight flight(in_flight);
  for (int tile = 0; tile < tiles; ++tile) {
    const std::uint32_t stage = ring.stages + static_cast<std::uint32_t>(cursor.stage) * ring.stage_bytes;
    if (tile >= stages) barrier_wait(ring.empty() + cursor.barrier(), cursor.parity);
    flight.wait_for_room(tile, ring.full, stages);
    producer.request(tile, stage, ring.full + cursor.barrier());
    __syncwarp();  // a lane that fell a lap behind would wait for a phase that has passed
    cursor.advance(1, stages);
  }
}

/// Barriers are initialised: the first warp that requests weights says so and goes on, the others wait for each other
/// and for it.
__device__ __forceinline__ void barriers_ready_sync() {
  asm volatile("barrier.cta.sync 1, %0;" ::"r"(blockDim.x) : "memory");
}
__device__ __forceinline__ void barriers_ready_arrive() {
  if (kForRacecheck) return barriers_ready_sync();
  asm volatile("barrier.cta.arrive 1, %0;" ::"r"(blockDim.x) : "memory");
}

/// The same for a CTA that is alone: its totals are there. Warps that store wait, others end.
__device__ __forceinline__ void totals_ready_sync() {
  asm volatile("barrier.cta.sync 2, %0;" ::"r"(blockDim.x) : "memory");
}
__device__ __forceinline__ void totals_ready_arrive() {
  if (kForRacecheck) return totals_ready_sync();
  asm volatile("barrier.cta.arrive 2, %0;" ::"r"(blockDim.x) : "memory");
}

/// Totals of a CTA's slice of K go to the CTA of the cluster that stores the tile: they take turns at the tiles. There
/// the totals of all slices meet, each in its place, and a barrier counts their bytes. A CTA alone keeps them: it
/// cannot send where no cluster was launched.
struct ClusterTotals {
  std::uint32_t inbox;  // [CTA of the cluster][tile / CTAs] totals
  std::uint32_t barrier;
  int log_cluster;
  int part_tiles;  // of a CTA's part of the inbox
  int lane;

  template <int kTokens>
  __device__ __forceinline__ void put(int tile, const TileSums<kTokens>& sums) const {
#pragma unroll
    for (int n = 0; n < TileSums<kTokens>::kCount; ++n) {
      deliver(tile, tensor_total_bytes(kTokens), (n * 32 + lane) * 16, sums.part[n]);
    }
  }

  __device__ __forceinline__ void put(int tile, const TileSums<1>& sums) const {
    const float2 total = row_totals(sums);
    if (lane % 4 == 0) deliver(tile, tensor_total_bytes(1), lane * 2, total);
  }

 private:
  template <class Sum>
  __device__ __forceinline__ void deliver(int tile, int total_bytes, int offset, Sum sum) const {
    if (log_cluster == 0) {
      store_shared(inbox + static_cast<std::uint32_t>(tile * total_bytes + offset), sum);
      return;
    }
    const int owner = tile & ((1 << log_cluster) - 1);
    const int place = cluster_rank() * part_tiles + (tile >> log_cluster);
    send(cluster_address(inbox + static_cast<std::uint32_t>(place * total_bytes + offset), owner), sum,
         cluster_address(barrier, owner));
  }
};

/// A computing warp's tiles: those of its group.
template <int kTokens, class Weights>
__device__ __forceinline__ void consume_tiles(const RowGroup<kTokens, ClusterTotals>& sums_of,
                                              const WarpTokens<kTokens>& x, const TensorRing& ring,
                                              const TensorRingShape& shape, int tiles, int group, Weights weights_of,
                                              int lane) {
  const ShiftFactors shift = unknown_factors();
  RingCursor cursor{group, 0};
  sums_of.run(tiles, [&](TileSums<kTokens>& sums) {
    const std::uint32_t offset = static_cast<std::uint32_t>(cursor.stage) * ring.stage_bytes;
    barrier_wait(ring.full + cursor.barrier(), cursor.parity);
    ItemWeights weights;
    weights_of.load(offset, weights);
    __syncwarp();
    if (arrives_for_warp(lane)) barrier_arrive(ring.empty() + cursor.barrier());
    cursor.advance(shape.groups, shape.stages);
    multiply(weights, x, shift, sums);
  });
}

#endif

inline namespace RESET_ARCH_NAMESPACE {

/// As gemv_tensor, but a cluster owns a run of outputs and each of its CTAs a slice of K; one warp requests whole tiles
/// by bulk copies, and the warps that compute find them in a ring that they share. The totals of slices are added
/// in the order of CTAs: the same bits every time. kRows: how the rows of a tile come.
template <int kTokens, TokenKind kKind, RingRows kRows>
static __global__ void __launch_bounds__(32 * (tensor_ring_max_warps(kTokens) + 1), 1)
    gemv_tensor_ring(const __grid_constant__ GemvProblem problem, const __grid_constant__ TensorRingShape shape,
                     const __grid_constant__ WeightMaps maps, const __grid_constant__ Prefetch prefetch) {
#if __CUDA_ARCH__ >= 900
  extern __shared__ __align__(128) std::uint8_t tensor_memory[];
  const int cluster = 1 << shape.log_cluster;
  // Through a shuffle, so that the compiler knows that a warp's lanes agree on it.
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 32, 0);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  // Found anew where they are needed: kept, they would take registers from the warps that compute.
  const auto rows = [&] {
    const Share runs = shape.runs.share(static_cast<int>(blockIdx.x) >> shape.log_cluster);
    return shared_rows(problem, runs, kRows == RingRows::kSpread);
  };
  const int tiles = rows().tiles();
  const Share units = shape.units.share(cluster_rank());
  const auto own_tiles = [&](int ctas) { return (rows().tiles() - cluster_rank() + ctas - 1) >> shape.log_cluster; };
  constexpr bool kOdd = kRows == RingRows::kOdd;
  const int ring_bytes = shape.stages * tensor_stage_bytes(shape.k_warps, kOdd);
  const TensorMemory<kTokens> memory(tensor_memory + ring_bytes, shape.part_tiles << shape.log_cluster, shape.k_warps,
                                     shape.groups);
  const std::uint32_t arrived = memory.end;  // the totals of the CTA's own tiles
  const TensorRing ring(shared_address(tensor_memory), arrived + 2 * kBarrierBytes, shape.k_warps, kOdd);
  const int computing = shape.k_warps * shape.groups;
  const int producers = tensor_ring_producers(kTokens, computing, shape.words);
  int group = 0;
  int k_warp = warp;
  for (; k_warp >= shape.k_warps; k_warp -= shape.k_warps) ++group;
  release_dependents();

  if (warp >= computing) {
    if (warp == computing) {
      const int writers = shape.words ? 1 + 32 * producers : kOdd ? kWarpArrivals : 1;
      if (lane == 0) {
        if constexpr (!kOdd) prefetch_map(&maps.codes);
        if (!kOdd && !shape.words) prefetch_map(&maps.scales);
        barrier_init(arrived, 1);
        ring.init_barriers(shape.stages, writers, units.count * kWarpArrivals);
        barrier_arrive_expecting(
            arrived, static_cast<std::uint32_t>(cluster * own_tiles(cluster) * tensor_total_bytes(kTokens)));
      }
      if (shape.words && problem.weights.cols % kUnitK != 0) ring.clear_scales(shape.stages, lane);
      __syncwarp();
      barriers_ready_arrive();
    } else {
      barriers_ready_sync();
    }
    if (cluster > 1) cluster_arrive();
    if constexpr (kOdd) {
      produce_tiles(OddProducer(problem.weights, ring, rows(), units, lane), ring, shape.stages, shape.in_flight,
                    tiles);
    } else {
      produce_tiles(BoxProducer{problem, maps, ring, rows(), units, shape.words, warp - computing, producers, lane},
                    ring, shape.stages, shape.in_flight, tiles);
    }
    wait_for_dependencies();
    if (warp == computing) {
      touch_residual(problem, rows(), cluster_rank(), cluster, own_tiles(cluster), lane);
      prefetch_share(prefetch, lane);
    }
    if (cluster > 1) cluster_wait();
  } else {
    int share = 0;  // of the tiles: counted, for a division takes longer, and would come after the wait
#pragma unroll 1
    for (int tile = group; tile < tiles; tile += shape.groups) ++share;
    if (k_warp == 0 && lane == 0) init_group_barriers(memory.barriers, group, units.count);
    barriers_ready_sync();
    if (cluster > 1) cluster_arrive();
    // Nothing is sent to a CTA that has not started; they start together, and the kernel ahead takes longer.
    if (cluster > 1) cluster_wait();
    if (k_warp >= units.count) {
      wait_for_dependencies();
    } else {
      WarpTokens<kTokens> x;
      x.template load<kKind>(problem, shape.activation_alignment, units.first + k_warp, lane,
                             memory.slots + warp * TensorMemory<kTokens>::kWarp, AtDependencies());
      const ClusterTotals totals{shared_address(memory.totals), arrived, shape.log_cluster, shape.part_tiles, lane};
      const RowGroup<kTokens, ClusterTotals> sums(memory, totals, group, shape.groups, k_warp, units.count,
                                                  shape.k_warps, lane);
      if constexpr (kOdd) {
        consume_tiles(sums, x, ring, shape, share, group,
                      OddWeights(problem.weights, ring, rows(), shape.odd_step, group, units.first, k_warp, lane),
                      lane);
      } else {
        consume_tiles(sums, x, ring, shape, share, group, BoxWeights<kRows == RingRows::kSpread>(ring, k_warp, lane),
                      lane);
      }
    }
  }
  // Those that requested weights store first: they are here early, and the instructions with them. Then the last
  // computing warps, for the first ones may still be adding up. Those that have nothing to store would keep the
  // schedulers from them.
  const int ctas = 1 << opaque(shape.log_cluster);
  const StoredTiles stored{cluster_rank(), ctas, own_tiles(ctas)};
  const int first = 32 * (warp < computing ? producers + computing - 1 - warp : warp - computing);
  const int columns = stored.columns(problem.gate != GemvGate::kNone);
  if (first >= stored_items(columns, problem, stored_tokens<kTokens>(columns, problem))) {
    if (ctas == 1) totals_ready_arrive();
    return;
  }
  // A CTA ends when all its totals are there: none is on its way to it then. They lie in its own shared memory, where
  // the barrier has counted their bytes: to acquire at the scope of the cluster would only empty the first-level cache
  // besides, for a twentieth of a small layer's time.
  store_results<kTokens>(problem, rows(), {memory.totals, ctas, shape.part_tiles}, stored, first + lane,
                         [&] { ctas > 1 ? barrier_wait(arrived, 0) : totals_ready_sync(); });
#endif
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
