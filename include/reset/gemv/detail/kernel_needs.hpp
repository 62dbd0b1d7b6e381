/// @file
/// What the kernels that do not serve every call need of one, each need told by the member of the call that misses it.
/// Known at compile time if the shape is.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/problem.hpp>
#include <reset/gemv/shape.hpp>
#include <reset/nvfp4/detail/memory_region.hpp>
#include <reset/nvfp4/layout.hpp>
#include <reset/nvfp4/matrix.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Where the block scales of a view begin.
RESET_HOST_DEVICE inline const std::uint8_t* first_scale(const Nvfp4MatrixView& w) noexcept {
  return w.block_scale.data + w.block_scale.offset(0, 0);
}

/// The remainder by 16 of the address of the first block scale.
constexpr std::int64_t first_scale_misalignment(const GemvShape& s) noexcept {
  const std::int64_t offset = scale_offset(s.scale_layout, s.scale_stride, s.scale_row_origin, s.scale_block_origin);
  return (s.scale_misalignment + offset) % 16;
}

/// Ok if rows of packed weights can be copied by 16 bytes.
constexpr Status whole_codes(const GemvShape& s) noexcept {
  if (s.weight_misalignment != 0) {
    return invalid("weights.packed", s.weight_misalignment,
                   "an address that 16 divides, for this kernel (the value is the remainder)");
  }
  if (s.row_stride % 16 == 0) return Status();
  return invalid("weights.row_stride", s.row_stride, "a multiple of 16 for this kernel");
}

/// Ok if block scales can be copied by runs of four.
constexpr Status whole_scale_runs(const GemvShape& s) noexcept {
  if (s.scale_misalignment % 4 != 0) {
    return invalid("weights.block_scale.data", s.scale_misalignment % 4,
                   "an address that 4 divides, for this kernel (the value is the remainder)");
  }
  if (s.scale_block_origin % 4 != 0) {
    return invalid("weights.block_scale.block_origin", s.scale_block_origin, "a multiple of 4 for this kernel");
  }
  if (s.scale_layout != ScaleLayout::kLinear || s.scale_stride % 4 == 0) return Status();
  return invalid("weights.block_scale.stride", s.scale_stride, "a multiple of 4 for this kernel");
}

/// Ok if every copy of kTensor's weights is asynchronous and whole.
constexpr Status whole_copies(const GemvShape& s) noexcept {
  if (s.cols % kUnitK != 0) return invalid("weights.cols", s.cols, "a multiple of 256 for this kernel");
  const Status codes = whole_codes(s);
  return codes.ok() ? whole_scale_runs(s) : codes;
}

/// Ok if pieces of the tiles of swizzled block scales can be copied in boxes, rows being spread (TileRows).
constexpr Status whole_scale_tiles(const GemvShape& s) noexcept {
  if (s.scale_layout != ScaleLayout::kSwizzled128x4) {
    return invalid("weights.block_scale.layout", static_cast<int>(s.scale_layout),
                   "kSwizzled128x4, 1, for this kernel");
  }
  if (s.rows % kScaleTileRows != 0) return invalid("weights.rows", s.rows, "a multiple of 128 for this kernel");
  if (s.gate != GemvGate::kNone && s.rows % (2 * kScaleTileRows) != 0) {
    return invalid("weights.rows", s.rows, "a multiple of 256 for this kernel with a gate");
  }
  if (s.scale_row_origin % kScaleTileRows != 0) {
    return invalid("weights.block_scale.row_origin", s.scale_row_origin, "a multiple of 128 for this kernel");
  }
  if (s.scale_block_origin % kScaleTileBlocks != 0) {
    return invalid("weights.block_scale.block_origin", s.scale_block_origin, "a multiple of 4 for this kernel");
  }
  if (s.scale_misalignment == 0) return Status();
  return invalid("weights.block_scale.data", s.scale_misalignment,
                 "an address that 16 divides, for this kernel (the value is the remainder)");
}

/// Ok if kRing can have its block scales in boxes: where stages begin at multiples of 128, and two boxes cover K.
constexpr Status ring_scale_tiles(const GemvShape& s) noexcept {
  const Status tiles = whole_scale_tiles(s);
  if (!tiles.ok()) return tiles;
  if (s.gate != GemvGate::kNone) {
    return invalid("gate", static_cast<int>(s.gate), "kNone, 0, for kRing with swizzled block scales");
  }
  if (s.cols % 512 == 0 && s.cols <= kRingMostSpreadK) return Status();
  return invalid("weights.cols", s.cols, "a multiple of 512, at most 32768, for kRing with swizzled block scales");
}

/// Ok if linear block scales lie as kRing wants them, or, of NVFP4 activations, swizzled ones.
constexpr Status ring_scales(const GemvShape& s) noexcept {
  if (s.scale_layout != ScaleLayout::kLinear) {
    if (!is_dense(s.activations)) return ring_scale_tiles(s);
    return invalid("weights.block_scale.layout", static_cast<int>(s.scale_layout),
                   "kLinear, 0, for kRing with 16-bit activations");
  }
  if (first_scale_misalignment(s) != 0) {
    return invalid("weights.block_scale.data", first_scale_misalignment(s),
                   "with the origins an address that 16 divides, for kRing (the value is the remainder)");
  }
  if (s.scale_stride % 16 == 0) return Status();
  return invalid("weights.block_scale.stride", s.scale_stride, "a multiple of 16 for kRing");
}

/// Ok if kRing with `chunks` serves a call.
constexpr Status ring_serves(const GemvShape& s, int chunks) noexcept {
  const bool dense = is_dense(s.activations);
  if (dense && s.cols > kRingMostDenseK) {
    return invalid("weights.cols", s.cols, "at most 8192 for kRing with 16-bit activations");
  }
  if (dense && chunks != 1) {
    return invalid("activations.type", static_cast<int>(s.activations), "kNvfp4, 0, for kRing with more than 1 chunk");
  }
  if (s.tokens != 1) return invalid("tokens", s.tokens, "1 for kRing");
  if (s.cols % 256 != 0) return invalid("weights.cols", s.cols, "a multiple of 256 for kRing");
  if (s.cols > kRingMostK) return invalid("weights.cols", s.cols, "at most 40960 for kRing");
  const Status codes = whole_codes(s);
  if (!codes.ok()) return codes;
  const Status scales = ring_scales(s);
  if (!scales.ok()) return scales;
  if (s.activation_misalignment == 0) return Status();
  return invalid(dense ? "activations.dense" : "activations.nvfp4.packed", s.activation_misalignment,
                 "an address that 16 divides, for kRing (the value is the remainder)");
}

/// Ok if kTensorRing serves a call of these weights row by row: GemvPolicy::odd_rows.
constexpr Status odd_rows_serve(const GemvShape& s) noexcept {
  if (s.scale_layout != ScaleLayout::kLinear) {
    return invalid("weights.block_scale.layout", static_cast<int>(s.scale_layout),
                   "kLinear, 0, for kTensorRing with odd_rows");
  }
  if (s.weight_misalignment % 8 != 0) {
    return invalid("weights.packed", s.weight_misalignment % 8,
                   "an address that 8 divides, for kTensorRing (the value is the remainder)");
  }
  if (s.row_stride % 8 == 0) return Status();
  return invalid("weights.row_stride", s.row_stride, "a multiple of 8 for kTensorRing");
}

/// Ok if kTensorRing serves a call of these weights by boxes of rows.
constexpr Status boxes_serve(const GemvShape& s) noexcept {
  if (s.cols % 64 != 0) return invalid("weights.cols", s.cols, "a multiple of 64 for kTensorRing without odd_rows");
  const Status codes = whole_codes(s);
  return codes.ok() ? whole_scale_runs(s) : codes;
}

/// How kTensorRing's block scales come.
enum class ScaleCopies : std::uint8_t {
  kRows,   ///< Linear ones, in boxes of rows.
  kTiles,  ///< Swizzled ones, in boxes of pieces of their tiles: outputs are spread (TileRows).
  kWords,  ///< Whatever else `boxes_serve` allows, by runs of four.
};

/// The fastest that serves a call.
constexpr ScaleCopies scale_copies(const GemvShape& s) noexcept {
  if (s.scale_layout == ScaleLayout::kLinear) {
    const bool whole = s.cols % kUnitK == 0 && first_scale_misalignment(s) == 0 && s.scale_stride % 16 == 0;
    return whole ? ScaleCopies::kRows : ScaleCopies::kWords;
  }
  return whole_scale_tiles(s).ok() ? ScaleCopies::kTiles : ScaleCopies::kWords;
}

}  // namespace detail
RESET_NAMESPACE_END
