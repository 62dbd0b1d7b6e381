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

/// Past the last byte of a region; the highest address if that lies beyond it.
inline std::uintptr_t end_of(const MemoryRegion& region) noexcept {
  constexpr std::uintptr_t kHighest = ~std::uintptr_t{0};
  const std::uintptr_t end = region.begin + static_cast<std::uintptr_t>(region.width);
  if (region.rows == 1) return end;
  const auto stride = static_cast<std::uintptr_t>(region.stride);
  const auto steps = static_cast<std::uintptr_t>(region.rows - 1);
  return steps > (kHighest - end) / stride ? kHighest : end + steps * stride;
}

/// Rows of a region that end before `begin`.
inline std::int64_t rows_before(std::uintptr_t begin, const MemoryRegion& region) noexcept {
  const std::uintptr_t end = region.begin + static_cast<std::uintptr_t>(region.width);
  if (end > begin) return 0;
  return region.rows == 1 ? 1
                          : static_cast<std::int64_t>((begin - end) / static_cast<std::uintptr_t>(region.stride)) + 1;
}

/// Exact, so that two column ranges of one buffer are apart. It looks at rows that lie between the ends of both regions
/// only: of regions one behind the other, at none.
inline bool overlap(const MemoryRegion& a, const MemoryRegion& b) noexcept {
  const MemoryRegion& few = a.rows <= b.rows ? a : b;
  const MemoryRegion& many = a.rows <= b.rows ? b : a;
  const std::uintptr_t end = end_of(many);
  for (std::int64_t row = rows_before(many.begin, few); row < few.rows; ++row) {
    const std::uintptr_t begin = few.begin + static_cast<std::uintptr_t>(row) * static_cast<std::uintptr_t>(few.stride);
    if (begin >= end) return false;
    if (overlap(begin, few.width, many)) return true;
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

/// Whether quantised rows can go there: the view is well formed, and codes and scales do not overwrite each other.
inline Status validate_result(const Nvfp4MutableMatrixView& out) noexcept {
  const Status status = validate(out);
  const MemoryRegion scales = status.ok() ? scale_region(out) : MemoryRegion{};
  if (!status.ok() || !overlap(packed_region(out), scales)) return status;
  return invalid("block_scale.data", static_cast<std::int64_t>(scales.begin), "memory that does not overlap packed");
}

}  // namespace detail
RESET_NAMESPACE_END
