/// @file
/// What the kernels that do not serve every call need of one, each need told by the member of the call that misses it.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/problem.hpp>
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

/// Ok if rows of packed weights can be copied by 16 bytes.
inline Status whole_codes(const Nvfp4MatrixView& w) noexcept {
  if (address(w.packed) % 16 != 0) {
    return invalid("weights.packed", misalignment(w.packed, 16),
                   "an address that 16 divides, for this kernel (the value is the remainder)");
  }
  if (w.row_stride % 16 == 0) return Status();
  return invalid("weights.row_stride", w.row_stride, "a multiple of 16 for this kernel");
}

/// Whether pieces of the tiles of swizzled block scales can be copied in boxes, rows being spread (TileRows).
inline bool scale_tiles_are_whole(const GemvProblem& problem) noexcept {
  const Nvfp4MatrixView& w = problem.weights;
  const BlockScaleView& scale = w.block_scale;
  const std::int64_t parts = problem.gate == GemvGate::kNone ? 1 : 2;
  return scale.layout == ScaleLayout::kSwizzled128x4 && w.rows % (parts * kScaleTileRows) == 0 &&
         scale.row_origin % kScaleTileRows == 0 && scale.block_origin % kScaleTileBlocks == 0 &&
         address(scale.data) % 16 == 0;
}

/// Whether kRing has its block scales in boxes: it can where a tile has four rows, and stages begin at multiples of
/// 128.
inline bool ring_scales_are_spread(const GemvProblem& problem, int chunks) noexcept {
  return ring_rows(chunks) == 4 && problem.gate == GemvGate::kNone && problem.weights.cols % 512 == 0 &&
         scale_tiles_are_whole(problem);
}

/// Ok if linear block scales lie as kRing wants them, or swizzled ones.
inline Status ring_scales(const GemvProblem& problem, int chunks) noexcept {
  const Nvfp4MatrixView& w = problem.weights;
  if (ring_scales_are_spread(problem, chunks)) return Status();
  if (w.block_scale.layout != ScaleLayout::kLinear) {
    return invalid("weights.block_scale.layout", static_cast<int>(w.block_scale.layout),
                   "kLinear, 0, for kRing, but for one chunk without a gate, K a multiple of 512, and whole tiles");
  }
  if (address(first_scale(w)) % 16 != 0) {
    return invalid("weights.block_scale.data", misalignment(first_scale(w), 16),
                   "with the origins an address that 16 divides, for kRing (the value is the remainder)");
  }
  if (w.block_scale.stride % 16 == 0) return Status();
  return invalid("weights.block_scale.stride", w.block_scale.stride, "a multiple of 16 for kRing");
}

/// Ok if kRing with `chunks` serves a call.
inline Status ring_serves(const GemvProblem& problem, int chunks) noexcept {
  const Nvfp4MatrixView& w = problem.weights;
  const ActivationView& x = problem.activations;
  if (x.type != ActivationType::kNvfp4) {
    return invalid("activations.type", static_cast<int>(x.type), "kNvfp4, 0, for kRing");
  }
  if (problem.tokens != 1) return invalid("tokens", problem.tokens, "1 for kRing");
  if (w.cols % 256 != 0) return invalid("weights.cols", w.cols, "a multiple of 256 for kRing");
  if (problem.gate != GemvGate::kNone && ring_rows(chunks) < 2) {
    return invalid("gate", static_cast<int>(problem.gate), "kNone, 0, for kRing with more than 2 chunks");
  }
  const Status codes = whole_codes(w);
  if (!codes.ok()) return codes;
  const Status scales = ring_scales(problem, chunks);
  if (!scales.ok()) return scales;
  if (address(x.nvfp4.packed) % 16 == 0) return Status();
  return invalid("activations.nvfp4.packed", misalignment(x.nvfp4.packed, 16),
                 "an address that 16 divides, for kRing (the value is the remainder)");
}

/// Ok if kTensorRing serves a call of these weights row by row: GemvPolicy::odd_rows.
inline Status odd_rows_serve(const Nvfp4MatrixView& w) noexcept {
  if (w.block_scale.layout != ScaleLayout::kLinear) {
    return invalid("weights.block_scale.layout", static_cast<int>(w.block_scale.layout),
                   "kLinear, 0, for kTensorRing with odd_rows");
  }
  if (address(w.packed) % 8 != 0) {
    return invalid("weights.packed", misalignment(w.packed, 8),
                   "an address that 8 divides, for kTensorRing (the value is the remainder)");
  }
  if (w.row_stride % 8 == 0) return Status();
  return invalid("weights.row_stride", w.row_stride, "a multiple of 8 for kTensorRing");
}

/// Ok if kTensorRing serves a call of these weights by boxes of rows.
inline Status boxes_serve(const Nvfp4MatrixView& w) noexcept {
  const BlockScaleView& scale = w.block_scale;
  if (w.cols % 64 != 0) return invalid("weights.cols", w.cols, "a multiple of 64 for kTensorRing without odd_rows");
  const Status codes = whole_codes(w);
  if (!codes.ok()) return codes;
  if (address(scale.data) % 4 != 0) {
    return invalid("weights.block_scale.data", misalignment(scale.data, 4),
                   "an address that 4 divides, for kTensorRing without odd_rows (the value is the remainder)");
  }
  if (scale.block_origin % 4 != 0) {
    return invalid("weights.block_scale.block_origin", scale.block_origin,
                   "a multiple of 4 for kTensorRing without odd_rows");
  }
  if (scale.stride % 4 == 0) return Status();
  return invalid("weights.block_scale.stride", scale.stride, "a multiple of 4 for kTensorRing without odd_rows");
}

/// How kTensorRing's block scales come.
enum class ScaleCopies : std::uint8_t {
  kRows,   ///< Linear ones, in boxes of rows.
  kTiles,  ///< Swizzled ones, in boxes of pieces of their tiles: outputs are spread (TileRows).
  kWords,  ///< Whatever else `boxes_serve` allows, by runs of four.
};

/// The fastest that serves a call.
inline ScaleCopies scale_copies(const GemvProblem& problem) noexcept {
  const Nvfp4MatrixView& w = problem.weights;
  const BlockScaleView& scale = w.block_scale;
  if (scale.layout == ScaleLayout::kLinear) {
    const bool whole = w.cols % kUnitK == 0 && row_alignment(first_scale(w), scale.stride) == 16;
    return whole ? ScaleCopies::kRows : ScaleCopies::kWords;
  }
  return scale_tiles_are_whole(problem) ? ScaleCopies::kTiles : ScaleCopies::kWords;
}

}  // namespace detail
RESET_NAMESPACE_END
