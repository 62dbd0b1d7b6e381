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

  /// Adds the codes and the block scales of a matrix, or of a part of one (see `row_slice`). A view that `validate`
  /// refuses, or for which there is no room, is refused and nothing added.
  Status add(const Nvfp4MatrixView& view) noexcept {
    const Status status = validate(view);
    if (!status.ok()) return status;
    if (count + 2 > kMaxRegions) return detail::invalid("count", count, "at most 4, to add a matrix");
    regions[count++] = joined(detail::packed_region(view));
    regions[count++] = joined(detail::scale_region(view));
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
