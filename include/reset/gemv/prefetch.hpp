/// @file
/// What a mat-vec asks for on behalf of the kernels behind it.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/memory_region.hpp>
#include <reset/nvfp4/matrix.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// Memory that kernels further on in the stream will read, to be brought into the second-level cache by a mat-vec once
/// its own weights are on their way. With few tokens a chain of kernels waits for latencies, between its mat-vecs and
/// in attention, a good part of its time, while memory could bring the next weights. A hint: no result depends on it.
/// What does not fit the cache beside what is read meanwhile is fetched twice, which takes time: the next few kernels'
/// weights, up to about half of the cache, gain.
struct Prefetch {
  static constexpr int kMaxRegions = 6;  ///< Two a matrix.

  detail::MemoryRegion regions[kMaxRegions] = {};  ///< In the order in which they are asked for.
  int count = 0;                                   ///< Of them.

  /// Adds the codes and the block scales of the first rows of a matrix, as many as `most_bytes` hold but at least one.
  /// A view that `validate` refuses, or for which there is no room, is refused and nothing added.
  Status add(const Nvfp4MatrixView& view, std::int64_t most_bytes = INT64_MAX) noexcept {
    const Status status = validate(view);
    if (!status.ok()) return status;
    if (count + 2 > kMaxRegions) return detail::invalid("count", count, "at most 4, to add a matrix");
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

RESET_NAMESPACE_END
