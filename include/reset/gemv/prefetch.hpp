/// @file
/// What a mat-vec asks for on behalf of the kernels behind it.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/view_argument.hpp>
#include <reset/nvfp4/detail/memory_region.hpp>
#include <reset/nvfp4/matrix.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// What one instruction asks for: a multiple of 16 bytes at a multiple of 16.
struct PrefetchPiece {
  std::uintptr_t begin;
  std::uint32_t bytes;
};

inline constexpr std::int64_t kPrefetchPiece = 2048;  // bytes, at most

RESET_HOST_DEVICE constexpr std::int64_t pieces_of_row(const MemoryRegion& region) noexcept {
  return (region.width + kPrefetchPiece - 1) / kPrefetchPiece;
}

/// Pieces of a region, row after row.
RESET_HOST_DEVICE constexpr std::int64_t prefetch_pieces(const MemoryRegion& region) noexcept {
  return region.rows * pieces_of_row(region);
}

/// A piece of the whole units of 16 bytes in a row; the last one may be empty.
RESET_HOST_DEVICE constexpr PrefetchPiece prefetch_piece_of(const MemoryRegion& region, std::int64_t index) noexcept {
  const std::int64_t in_row = pieces_of_row(region);
  const std::int64_t row = index / in_row;
  const std::uintptr_t row_begin = region.begin + static_cast<std::uintptr_t>(row * region.stride);
  const std::uintptr_t row_end = (row_begin + static_cast<std::uintptr_t>(region.width)) & ~std::uintptr_t{15};
  const std::uintptr_t first = (row_begin + 15) & ~std::uintptr_t{15};
  const std::uintptr_t begin = first + static_cast<std::uintptr_t>((index - row * in_row) * kPrefetchPiece);
  if (begin >= row_end) return {begin, 0};
  const std::uintptr_t left = row_end - begin;
  return {begin, static_cast<std::uint32_t>(left < kPrefetchPiece ? left : kPrefetchPiece)};
}

}  // namespace detail

/// Device memory that kernels further on in the stream will read, to be brought into the second-level cache by a
/// mat-vec once its own weights are on their way (kTensor: once it is done). With few tokens a chain of kernels waits
/// for latencies, between its mat-vecs and in attention, a good part of its time, while memory could bring the weights
/// of the next mat-vec. A hint: no result depends on it. About what memory brings until that one starts gains; much
/// more makes a step slower, for what does not fit the cache beside what is read meanwhile is fetched twice.
struct Prefetch {
  static constexpr int kMaxRegions = 6;  ///< Two a matrix.
  /// What an H100's memory brings in 3 us: the wait between two mat-vecs.
  static constexpr std::int64_t kDefaultBytes = std::int64_t{8} << 20;

  detail::MemoryRegion regions[kMaxRegions] = {};  ///< In the order in which they are asked for.
  int count = 0;                                   ///< Of them.

  /// Adds the codes and the block scales of the first rows of a matrix, as many as `most_bytes` hold but at least one;
  /// swizzled scales come in whole tiles of 128 rows. A view that `validate` refuses, or for which there is no room, is
  /// refused and nothing added.
  Status add(const Nvfp4MatrixView& view, std::int64_t most_bytes = kDefaultBytes) noexcept {
    const Status status = detail::view_status(validate(view), detail::ViewRole::kPrefetch);
    if (!status.ok()) return status;
    if (most_bytes < 1) return detail::invalid("most_bytes", most_bytes, "1 or more");
    if (count + 2 > kMaxRegions) {
      return detail::invalid("prefetch.count", count, "at most 4 regions, to add a matrix, which takes two");
    }
    const std::int64_t most_rows = most_bytes / (view.cols / 2 + view.blocks());
    const std::int64_t rows = most_rows < 1 ? 1 : most_rows < view.rows ? most_rows : view.rows;
    const Nvfp4MatrixView first = row_slice(view, 0, rows);
    regions[count++] = joined(detail::packed_region(first));
    regions[count++] = joined(detail::scale_region(first));
    return Status();
  }

 private:
  /// Rows without gaps are one row.
  static detail::MemoryRegion joined(const detail::MemoryRegion& region) noexcept {
    if (region.rows > 1 && region.stride != region.width) return region;
    return {region.begin, 1, region.rows * region.width, 0};
  }
};

/// Whether a prefetch holds as many regions as it says: a count that `add` did not make is refused.
inline Status validate(const Prefetch& prefetch) noexcept {
  if (prefetch.count >= 0 && prefetch.count <= Prefetch::kMaxRegions) return Status();
  return detail::invalid("prefetch.count", prefetch.count, "0..6");
}

RESET_NAMESPACE_END
