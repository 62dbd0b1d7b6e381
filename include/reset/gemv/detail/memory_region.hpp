/// @file
/// Rows of bytes at a stride, and whether two such regions share a byte.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/nvfp4/layout.hpp>
#include <reset/nvfp4/matrix.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

RESET_HOST_DEVICE inline std::uintptr_t address(const void* pointer) noexcept {
  return reinterpret_cast<std::uintptr_t>(pointer);
}

inline std::int64_t misalignment(const void* pointer, std::int64_t bytes) noexcept {
  return static_cast<std::int64_t>(address(pointer) % static_cast<std::uintptr_t>(bytes));
}

/// `rows` runs of `width` bytes, the first at `begin`.
struct MemoryRegion {
  std::uintptr_t begin;
  std::int64_t rows;
  std::int64_t width;
  std::int64_t stride;  // at least `width`, where rows > 1
};

/// Whether `width` bytes from `begin` on share a byte with a region.
inline bool overlap(std::uintptr_t begin, std::int64_t width, const MemoryRegion& region) noexcept {
  const std::uintptr_t end = begin + static_cast<std::uintptr_t>(width);
  // Only the row that begins last before `end` can reach furthest into the run.
  if (end <= region.begin) return false;
  std::uintptr_t row = 0;
  if (region.rows > 1) {
    const auto stride = static_cast<std::uintptr_t>(region.stride);
    const auto last = static_cast<std::uintptr_t>(region.rows - 1);
    row = (end - 1 - region.begin) / stride < last ? (end - 1 - region.begin) / stride * stride : last * stride;
  }
  return region.begin + row + static_cast<std::uintptr_t>(region.width) > begin;
}

/// Exact, so that two column ranges of one buffer are apart.
inline bool overlap(const MemoryRegion& few, const MemoryRegion& many) noexcept {
  for (std::int64_t row = 0; row < few.rows; ++row) {
    if (overlap(few.begin + static_cast<std::uintptr_t>(row * few.stride), few.width, many)) return true;
  }
  return false;
}

inline MemoryRegion packed_region(const Nvfp4MatrixView& view) noexcept {
  return {address(view.packed), view.rows, view.cols / 2, view.row_stride};
}

/// The block scales of a view; of a swizzled tensor whole rows of tiles, padding and neighbours included.
inline MemoryRegion scale_region(const Nvfp4MatrixView& view) noexcept {
  const BlockScaleView& scale = view.block_scale;
  if (scale.layout == ScaleLayout::kLinear) {
    return {address(scale.data + scale.offset(0, 0)), view.rows, view.blocks(), scale.stride};
  }
  const std::int64_t first = scale.row_origin / kScaleTileRows;
  const std::int64_t last = (scale.row_origin + view.rows - 1) / kScaleTileRows;
  const std::int64_t bytes = scale.stride * kScaleTileRows;
  return {address(scale.data + first * bytes), 1, (last - first + 1) * bytes, 0};
}

}  // namespace detail
RESET_NAMESPACE_END
