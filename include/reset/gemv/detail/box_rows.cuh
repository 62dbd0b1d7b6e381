/// @file
/// Rows of weights that come into a ring in boxes, and where they are in it: sm_90 and later.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/async_copy.cuh>
#include <reset/gemv/detail/item_weights.cuh>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/lane_places.hpp>
#include <reset/gemv/detail/ring.cuh>
#include <reset/gemv/detail/scale_row.cuh>
#include <reset/gemv/detail/shared_memory.cuh>
#include <reset/gemv/detail/tensor_map.cuh>
#include <reset/gemv/detail/tensor_stages.cuh>
#include <reset/gemv/detail/tile_rows.hpp>
#include <reset/gemv/detail/work_shares.hpp>
#include <reset/gemv/problem.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

#if __CUDA_ARCH__ >= 900 || !defined(__CUDA_ARCH__)

/// A warp that requests weights. One lane of the first asks for boxes of eight rows of codes and of scales; where
/// scales come in runs of four, all lanes of all these warps copy them.
struct BoxProducer {
  const GemvProblem& problem;
  const WeightMaps& maps;
  const TensorRing& ring;
  TileRows<kMmaRows> rows;
  Share units;
  bool words;
  int warp;  // of those that request
  int warps;
  int lane;

  /// Requests a tile into a stage.
  __device__ __forceinline__ void request(int tile, std::uint32_t stage, std::uint32_t full) const {
    if (warp == 0 && lane == 0) copy_boxes(tile, stage, full);
    if (!words) return;
    __syncwarp();
    copy_words(tile, stage, full);
    __syncwarp();
  }

 private:
  /// The second box is that of the first one's pairs, or of the next outputs if the tile has them: otherwise it keeps
  /// what it had, and makes sums that are not stored.
  __device__ __forceinline__ void copy_boxes(int tile, std::uint32_t stage, std::uint32_t full) const {
    const bool both = rows.holds(tile, kBoxRows);
    const std::uint32_t bytes = kBoxRows * ring.code_pitch + (words ? 0 : scale_box_bytes());
    barrier_arrive_expecting(full, both ? 2 * bytes : bytes);
    copy_box(static_cast<int>(rows.row(tile, 0)), 0, stage, full);
    if (both) copy_box(static_cast<int>(rows.row(tile, kBoxRows)), 1, stage, full);
  }

  __device__ __forceinline__ std::uint32_t scale_box_bytes() const {
    // Of spread rows 128 for each unit of K, as many as a row has of codes.
    return rows.spread ? ring.code_pitch : kBoxRows * ring.scale_pitch;
  }

  __device__ __forceinline__ void copy_box(int row, int box, std::uint32_t stage, std::uint32_t full) const {
    const auto place = static_cast<std::uint32_t>(box * kBoxRows);
    const std::uint32_t codes = stage + place * ring.code_pitch;
    const std::uint32_t scale = stage + ring.scales() + place * ring.scale_pitch;
    const int column = units.first * (kUnitK / 2 / 8);
    if (rows.spread) {
      box_copy(codes, &maps.codes, {column, row % kSpreadRows, row / kSpreadRows}, full);
      box_copy(scale, &maps.scales, scale_tile_place(row, units.first * (kUnitBlocks / 4)), full);
      return;
    }
    box_copy(codes, &maps.codes, {column, row, 0}, full);
    if (!words) box_copy(scale, &maps.scales, {units.first * (kUnitBlocks / 2), row, 0}, full);
  }

  /// Half a warp has one run of each row.
  __device__ __forceinline__ void copy_words(int tile, std::uint32_t stage, std::uint32_t full) const {
    const int row = lane % kMmaRows;
    const ScaleRow source(problem.weights.block_scale, rows.readable_row(tile, row));
    const std::uint32_t place = stage + ring.scales() + static_cast<std::uint32_t>(row) * ring.scale_pitch;
    const int runs = slice_runs(units, problem.weights.cols);
    for (int run = first_run(warp, lane); run < runs; run += warps * 2) {
      async_copy<4>(place + static_cast<std::uint32_t>(run * 4), source.at(units.first * kUnitBlocks + run * 4));
    }
    async_arrive(full);
  }
};

/// Where in the stages a lane finds its weights of a tile: in boxes.
template <bool kSpread>
struct BoxWeights {
  const TensorRing& ring;
  std::uint32_t codes;
  std::uint32_t scales;

  __device__ __forceinline__ BoxWeights(const TensorRing& ring_, int k_warp, int lane)
      : ring(ring_),
        codes(computed_once(ring.stages + static_cast<std::uint32_t>(lane / 4) * ring.code_pitch +
                            static_cast<std::uint32_t>(lane_codes(k_warp, lane)))),
        scales(computed_once(ring.stages + ring.scales() + lane_scales(kSpread, ring.scale_pitch, k_warp, lane))) {}

  /// Of the next tile, which is in the stage that many bytes behind the first.
  __device__ __forceinline__ void load(std::uint32_t offset, ItemWeights& weights) {
    constexpr int kHalf = half_unit_scales(kSpread);
    weights.load_rows<kHalf>(codes + offset, 8 * ring.code_pitch, scales + offset, 8 * ring.scale_pitch);
  }
};

#endif

}  // namespace detail
RESET_NAMESPACE_END
