/// @file
/// The weights of one warp on their way from memory: a ring of stages in shared memory that only this warp touches.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/async_copy.cuh>
#include <reset/gemv/detail/lane_places.hpp>
#include <reset/gemv/detail/load_words.cuh>
#include <reset/gemv/detail/scale_row.cuh>
#include <reset/gemv/detail/shared_memory.cuh>
#include <reset/gemv/detail/tile_rows.hpp>
#include <reset/gemv/policy.hpp>
#include <reset/nvfp4/matrix.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Requests a group's tiles of a CTA's rows, 256 of K of each, into the stages of a warp's ring. A stage holds, for
/// each half of these and each of a lane's two rows, 16 bytes of codes at a place that is the lane's own; then the 16
/// scales of each row. What lies beyond K becomes 0.
///
/// With `kWhole` every copy is asynchronous and whole: K a multiple of 256, packed rows at multiples of 16 bytes, runs
/// of four block scales at multiples of 4. Otherwise copies end where K does, codes come as their alignment allows, and
/// scales in runs or byte by byte.
template <bool kWhole>
class WeightStream {
  static_assert(kMaxGemvRows + tensor_max_warps(1) * kMmaRows <= 0x7fffffff, "no first output of a tile overflows");

 public:
  /// No tile at all unless `active`.
  __device__ __forceinline__ WeightStream(const Nvfp4MatrixView& weights, const TileRows<kMmaRows>& rows,
                                          WeightAlignment alignment, int unit, int group, bool active, int groups,
                                          int lane)
      : weights_(weights),
        gated_(rows.gated),
        alignment_(alignment),
        unit_(unit),
        tiles_(rows, group, groups, active),
        lane_(lane) {
    if (tiles_.more()) point_at_tile();
  }

  /// Requests the next tile, if there is one, into the stage at an address of shared memory.
  __device__ __forceinline__ void request(std::uint32_t stage) {
    if (!kWhole) store_pending();
    if (!tiles_.more()) return;
    const std::uint32_t codes = stage + static_cast<std::uint32_t>(lane_) * 16;
    const std::uint32_t scales = stage + static_cast<std::uint32_t>(kUnitCodeBytes + lane_ / 2 * 16 + lane_ % 2 * 4);
    if (kWhole) {
      request_whole(codes, scales);
    } else {
      request_pieces(codes, scales);
    }
    tiles_.next();
    if (tiles_.more()) advance();
  }

 private:
  __device__ __forceinline__ int cols() const { return static_cast<int>(weights_.cols); }
  /// From the present tile on.
  __device__ __forceinline__ TileRows<kMmaRows> rows() const { return tiles_.rows(weights_.rows, gated_); }
  __device__ __forceinline__ bool linear() const { return weights_.block_scale.layout == ScaleLayout::kLinear; }

  /// Rows of a tile lie at the same distances from those of the tile before it, but for the last tile, which may repeat
  /// a row; swizzled scales have no such distance.
  __device__ __forceinline__ void advance() {
    if (!rows().holds(0, kMmaRows - 1)) {
      point_at_tile();
      return;
    }
    low_ += std::int64_t{tiles_.step} * weights_.row_stride;
    high_ += std::int64_t{tiles_.step} * weights_.row_stride;
    if (linear()) {
      scales_ += std::int64_t{tiles_.step} * weights_.block_scale.stride;
    } else {
      scales_ = scale_row().at(first_block());
    }
  }

  /// The lane's places in the rows of the present tile.
  __device__ __forceinline__ void point_at_tile() {
    const int position = unit_ * (kUnitK / 2) + lane_ % 4 * 16;
    low_ = weights_.packed + (rows().readable_row(0, lane_ / 4) * weights_.row_stride + position);
    high_ = weights_.packed + (rows().readable_row(0, lane_ / 4 + 8) * weights_.row_stride + position);
    scales_ = scale_row().at(first_block());
  }

  /// Lane l brings of row l / 2 four scales from this block on, and four from 8 blocks further.
  __device__ __forceinline__ ScaleRow scale_row() const {
    return ScaleRow(weights_.block_scale, rows().readable_row(0, lane_ / 2));
  }
  __device__ __forceinline__ int first_block() const { return unit_ * kUnitBlocks + lane_ % 2 * 4; }

  __device__ __forceinline__ void request_whole(std::uint32_t codes, std::uint32_t scales) const {
    async_copy<16>(codes, low_);
    async_copy<16>(codes + 512, high_);
    async_copy<16>(codes + 1024, low_ + 64);
    async_copy<16>(codes + 1536, high_ + 64);
    async_copy<4>(scales, scales_);
    async_copy<4>(scales + 8, scales_ + (linear() ? 8 : kHalfStep));
  }

  __device__ __forceinline__ void request_pieces(std::uint32_t codes, std::uint32_t scales) {
    const int left = cols() / 2 - (unit_ * (kUnitK / 2) + lane_ % 4 * 16);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      copy_codes(codes + half * 1024, low_ + half * 64, left - half * 64);
      copy_codes(codes + half * 1024 + 512, high_ + half * 64, left - half * 64);
    }
    request_scales(scales, 0);
    request_scales(scales + 8, 1);
    latest_ = scales;
  }

  /// Up to 16 bytes, of which `left` come before the end of K: a multiple of 8, for K is one of 16.
  __device__ __forceinline__ void copy_codes(std::uint32_t place, const std::uint8_t* source, int left) const {
    if (alignment_.codes == 16 && left >= 16) {
      async_copy<16>(place, source);
      return;
    }
#pragma unroll
    for (int i = 0; i < 16; i += 8) {
      std::uint32_t words[2] = {0, 0};
      if (alignment_.codes >= 8 && left > i) {
        async_copy<8>(place + i, source + i);
        continue;
      }
      if (left > i) load_words(source + i, alignment_.codes, true, words);
      store_shared4(place + i, words[0]);
      store_shared4(place + i + 4, words[1]);
    }
  }

  __device__ __forceinline__ void request_scales(std::uint32_t place, int half) {
    const int block = first_block() + half * 8;
    if (!alignment_.scales) {
      pending_[half] = load_scales(block);
    } else if (block < cols() / 16) {
      async_copy<4>(place, scale_row().at(block));
    } else {
      store_shared4(place, 0);
    }
  }

  /// Scales at odd places come through a register, which is stored at the next request: nobody waits for the load.
  __device__ __forceinline__ std::uint32_t load_scales(int block) const {
    const ScaleRow row = scale_row();
    std::uint32_t word = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (block + i < cols() / 16) word |= static_cast<std::uint32_t>(*row.at(block + i)) << (8 * i);
    }
    return word;
  }
  /// Once: behind the last request others read them already.
  __device__ __forceinline__ void store_pending() {
    if (alignment_.scales || latest_ == 0) return;
    store_shared4(latest_, pending_[0]);
    store_shared4(latest_ + 8, pending_[1]);
    latest_ = 0;
  }

  /// Bytes from a run of four swizzled scales to the one 8 blocks further.
  static constexpr int kHalfStep = 2 * static_cast<int>(kScaleTileBytes);

  const Nvfp4MatrixView& weights_;
  bool gated_;
  WeightAlignment alignment_;
  int unit_;             // of K
  StreamedTiles tiles_;  // from the next one on
  int lane_;
  const std::uint8_t* low_ = nullptr;   // codes of row l / 4
  const std::uint8_t* high_ = nullptr;  // codes of row l / 4 + 8
  const std::uint8_t* scales_ = nullptr;
  std::uint32_t pending_[2] = {0, 0};
  std::uint32_t latest_ = 0;  // where they belong
};

}  // namespace detail
RESET_NAMESPACE_END
