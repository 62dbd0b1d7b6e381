/// @file
/// Where the nibble of k and the block scale of (row, block) live in memory.
#pragma once

#include <cstdint>

#include <reset/config.hpp>

RESET_NAMESPACE_BEGIN

/// Consecutive values along K that share one block scale.
inline constexpr std::int64_t kNvfp4BlockSize = 16;

/// How the E4M3 block scales of a matrix, one byte for each (row, block of 16 along K), lie in memory.
enum class ScaleLayout : std::uint8_t {
  /// Row-major, as checkpoints store them: the byte of (row, block) is at `row * stride + block`, where the stride is
  /// the number of bytes from one row to the next.
  kLinear,
  /// Tiles of 128 rows by 4 blocks, 512 bytes each, as CUTLASS, cuBLASLt and FlashInfer read them. Rows are padded to a
  /// multiple of 128 and blocks to a multiple of 4; the stride is the padded number of blocks. Tiles follow each other
  /// along K first. Inside a tile the byte of (row, block) is at `(row % 32) * 16 + (row / 32) * 4 + block`.
  kSwizzled128x4,
};

/// A block scale's place in its matrix.
struct ScaleCoordinate {
  std::int64_t row;    ///< Output feature.
  std::int64_t block;  ///< k / 16.
};

namespace detail {

inline constexpr std::int64_t kScaleTileRows = 128;
inline constexpr std::int64_t kScaleTileBlocks = 4;
inline constexpr std::int64_t kScaleTileBytes = kScaleTileRows * kScaleTileBlocks;

RESET_HOST_DEVICE constexpr std::int64_t round_up(std::int64_t value, std::int64_t multiple) noexcept {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace detail

/// The smallest stride of a scale tensor with `blocks` blocks a row: `blocks` for kLinear, `blocks` rounded up to a
/// multiple of 4 for kSwizzled128x4.
RESET_HOST_DEVICE constexpr std::int64_t scale_stride(ScaleLayout layout, std::int64_t blocks) noexcept {
  return layout == ScaleLayout::kLinear ? blocks : detail::round_up(blocks, detail::kScaleTileBlocks);
}

/// Bytes of a dense scale tensor of `rows` x `blocks`, padding included.
RESET_HOST_DEVICE constexpr std::int64_t scale_bytes(ScaleLayout layout, std::int64_t rows,
                                                     std::int64_t blocks) noexcept {
  const std::int64_t padded_rows =
      layout == ScaleLayout::kLinear ? rows : detail::round_up(rows, detail::kScaleTileRows);
  return padded_rows * scale_stride(layout, blocks);
}

/// Byte offset of the block scale of (row, block) in a tensor of the given stride (see ScaleLayout).
RESET_HOST_DEVICE constexpr std::int64_t scale_offset(ScaleLayout layout, std::int64_t stride, std::int64_t row,
                                                      std::int64_t block) noexcept {
  if (layout == ScaleLayout::kLinear) return row * stride + block;
  const std::int64_t tile =
      row / detail::kScaleTileRows * (stride / detail::kScaleTileBlocks) + block / detail::kScaleTileBlocks;
  return tile * detail::kScaleTileBytes + row % 32 * 16 + row % 128 / 32 * 4 + block % 4;
}

/// The inverse of `scale_offset`: which (row, block), possibly one of the padding, the byte at `offset` belongs to.
RESET_HOST_DEVICE constexpr ScaleCoordinate scale_coordinate(ScaleLayout layout, std::int64_t stride,
                                                             std::int64_t offset) noexcept {
  if (layout == ScaleLayout::kLinear) return {offset / stride, offset % stride};
  const std::int64_t tiles_per_row = stride / detail::kScaleTileBlocks;
  const std::int64_t tile = offset / detail::kScaleTileBytes;
  const std::int64_t inside = offset % detail::kScaleTileBytes;
  return {tile / tiles_per_row * detail::kScaleTileRows + inside % 16 / 4 * 32 + inside / 16,
          tile % tiles_per_row * detail::kScaleTileBlocks + inside % 4};
}

/// Byte of a packed row that holds element `k`.
RESET_HOST_DEVICE constexpr std::int64_t nibble_byte(std::int64_t k) noexcept { return k / 2; }

/// Bit of that byte at which element `k` begins: 0 for even k, 4 for odd.
RESET_HOST_DEVICE constexpr int nibble_shift(std::int64_t k) noexcept { return static_cast<int>(k % 2) * 4; }

RESET_NAMESPACE_END
