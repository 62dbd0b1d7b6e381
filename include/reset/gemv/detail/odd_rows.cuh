/// @file
/// Rows of weights that come into a ring from wherever they begin, and where they are in it: sm_90 and later.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/item_weights.cuh>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/kernel_needs.hpp>
#include <reset/gemv/detail/lane_places.hpp>
#include <reset/gemv/detail/odd_rows.hpp>
#include <reset/gemv/detail/ring.cuh>
#include <reset/gemv/detail/shared_memory.cuh>
#include <reset/gemv/detail/tensor_stages.cuh>
#include <reset/gemv/detail/tile_rows.hpp>
#include <reset/gemv/detail/work_shares.hpp>
#include <reset/gemv/problem.hpp>
#include <reset/nvfp4/detail/memory_region.hpp>
#include <reset/nvfp4/matrix.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

#if __CUDA_ARCH__ >= 900 || !defined(__CUDA_ARCH__)

/// The warp that requests weights: half of it asks for the codes of a tile, a lane for each row, half of it for the
/// scales.
class OddProducer {
 public:
  __device__ __forceinline__ OddProducer(const Nvfp4MatrixView& weights, const TensorRing& ring,
                                         const TileRows<kMmaRows>& rows, Share units, int lane)
      : rows_(rows), lane_(lane) {
    const bool codes = lane < kMmaRows;
    const auto slot = static_cast<std::uint32_t>(lane % kMmaRows);
    const int row_bytes = static_cast<int>(codes ? weights.cols / 2 : weights.cols / 16);
    const int unit_bytes = codes ? kUnitK / 2 : kUnitBlocks;
    first_ = codes ? weights.packed : first_scale(weights);
    stride_ = codes ? weights.row_stride : weights.block_scale.stride;
    last_ = first_ + ((weights.rows - 1) * stride_ + row_bytes);
    const RowSlice slice(units, unit_bytes, row_bytes);
    offset_ = slice.offset;
    bytes_ = slice.bytes;
    place_ = codes ? slot * ring.code_pitch : ring.scales() + slot * ring.scale_pitch;
  }

  /// Requests a tile into a stage. Slots that have no row keep what they had, and make sums that are not stored.
  __device__ __forceinline__ void request(int tile, std::uint32_t stage, std::uint32_t full) const {
    const int slot = lane_ % kMmaRows;
    const bool held = rows_.holds(tile, slot);
    const std::uint64_t begin = address(first_ + (rows_.readable_row(tile, slot) * stride_ + offset_));
    const OddCopy copy(begin, begin + static_cast<std::uint64_t>(bytes_), address(first_), address(last_));
    const std::uint32_t bytes = held ? copy.piece_bytes : 0;
    if (held) {
      // Hardly ever any: of rows that begin or end within 16 bytes of the matrix's own end.
      copy_bytes(copy, copy.begin, copy.pieces, stage + place_);
      copy_bytes(copy, copy.pieces + copy.piece_bytes, copy.end, stage + place_);
    }
    __syncwarp();  // one lane arrives for all that stored
    const std::uint32_t all = __reduce_add_sync(0xffffffffu, bytes);
    if (lane_ == 0) {
      barrier_arrive_expecting(full, all);
    } else if (kForRacecheck) {
      barrier_arrive(full);
    }
    // They may land before they are expected: this phase cannot end without the one arrival.
    if (bytes == 0) return;
    bulk_copy(stage + place_ + copy.place(copy.pieces), reinterpret_cast<const void*>(copy.pieces), bytes, full);
  }

 private:
  __device__ __forceinline__ static void copy_bytes(const OddCopy& copy, std::uint64_t begin, std::uint64_t end,
                                                    std::uint32_t place) {
#pragma unroll 1
    for (std::uint64_t byte = begin; byte < end; ++byte) {
      store_shared1(place + copy.place(byte), *reinterpret_cast<const std::uint8_t*>(byte));
    }
    if (begin < end) bulk_copies_fence();  // the next to come there is a bulk copy
  }

  TileRows<kMmaRows> rows_;
  int lane_;
  const std::uint8_t* first_;  // of what may be read
  const std::uint8_t* last_;   // behind it
  std::int64_t stride_;
  int offset_;  // of the slice in a row
  int bytes_;
  std::uint32_t place_;  // in a stage
};

/// Where in the stages a lane finds its weights of the tiles of a group, one after the other. How odd its rows are it
/// keeps in one register: the loop has none to spare. `step`: odd_step.
class OddWeights {
 public:
  __device__ __forceinline__ OddWeights(const Nvfp4MatrixView& weights, const TensorRing& ring,
                                        const TileRows<kMmaRows>& rows, std::uint32_t step, int group, int first_unit,
                                        int k_warp, int lane)
      : ring_(ring),
        step_(step),
        codes_(ring.stages + static_cast<std::uint32_t>(lane / 4) * ring.code_pitch +
               static_cast<std::uint32_t>(k_warp * (kUnitK / 2) + lane % 4 * 16)),
        scales_(ring.stages + ring.scales() + lane_scales(false, ring.scale_pitch, k_warp, lane)),
        odd_(0) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const std::int64_t row = rows.readable_row(group, lane / 4 + i * 8);
      const std::uint8_t* scales = first_scale(weights) + row * weights.block_scale.stride;
      odd_ |= odd_bytes(address(scales)) << (kOddScales + i * 4);
      odd_ |= odd_bytes(address(weights.packed + row * weights.row_stride)) << (kOddCodes + i * 4);
      const int block = (first_unit + k_warp) * kUnitBlocks + lane % 4 * 2 + i * 8;
      const int left = static_cast<int>(weights.cols / 16) - block;
      odd_ |= (left >= 2 ? 0x101u : left == 1 ? 1u : 0u) << (kOddOfK + i);
    }
  }

  /// Of the next tile, which is in the stage that many bytes behind the first.
  __device__ __forceinline__ void load(std::uint32_t offset, ItemWeights& weights) {
    const std::uint32_t codes = codes_ + offset;
    const std::uint32_t scales = scales_ + offset;
    weights.load_odd_codes(0, codes + odd(kOddCodes));
    weights.load_odd_codes(1, codes + 8 * ring_.code_pitch + odd(kOddCodes + 4));
    const std::uint32_t of_k[2] = {scales_of_k(0), scales_of_k(1)};
    weights.load_odd_scales(0, scales + odd(kOddScales), of_k);
    weights.load_odd_scales(1, scales + 8 * ring_.scale_pitch + odd(kOddScales + 4), of_k);
    odd_ ^= step_;
  }

 private:
  __device__ __forceinline__ std::uint32_t odd(int place) const { return odd_ >> place & (kPieceBytes - 1); }
  __device__ __forceinline__ std::uint32_t scales_of_k(int half) const {
    return (odd_ >> (kOddOfK + half) & 0x101u) * 0xffu;
  }

  const TensorRing& ring_;
  std::uint32_t step_;
  std::uint32_t codes_;  // in the first stage
  std::uint32_t scales_;
  std::uint32_t odd_;  // kOddScales, kOddCodes, kOddOfK
};

#endif

}  // namespace detail
RESET_NAMESPACE_END
