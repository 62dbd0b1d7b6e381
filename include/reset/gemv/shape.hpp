/// @file
/// What of a mat-vec call decides its kernel and its cut.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/problem.hpp>
#include <reset/nvfp4/detail/memory_region.hpp>
#include <reset/nvfp4/layout.hpp>
#include <reset/nvfp4/matrix.hpp>

RESET_NAMESPACE_BEGIN

/// What of a call decides its kernel and its cut: sizes, kinds, and how its operands lie, but not where. `shape_of` a
/// call has it; `aligned_shape` makes it of sizes, at compile time too.
struct GemvShape {
  std::int64_t tokens = 1;                             ///< M.
  std::int64_t rows = 0;                               ///< N.
  std::int64_t cols = 0;                               ///< K.
  ActivationType activations = ActivationType::kBf16;  ///< How the activations are stored.
  GemvGate gate = GemvGate::kNone;                     ///< Whether the rows of the weights are paired.
  std::int64_t row_stride = 0;                         ///< Of the packed weights, in bytes.
  ScaleLayout scale_layout = ScaleLayout::kLinear;     ///< Of the weights' block scales, as the four below.
  std::int64_t scale_stride = 0;                       ///< BlockScaleView::stride.
  std::int64_t scale_row_origin = 0;                   ///< BlockScaleView::row_origin.
  std::int64_t scale_block_origin = 0;                 ///< BlockScaleView::block_origin.
  int scale_misalignment = 0;                          ///< Remainder of the scale tensor's address by 16.
  int weight_misalignment = 0;                         ///< Remainder of the packed weights' address by 16.
  int activation_misalignment = 0;                     ///< That of the activations, or their codes.
};

/// M tokens by N rows of K without gaps, in whole scale tensors, everything at multiples of 16 bytes. With a gate N is
/// all rows, those of gate and up together.
constexpr GemvShape aligned_shape(ActivationType activations, std::int64_t tokens, std::int64_t rows, std::int64_t cols,
                                  ScaleLayout scale_layout = ScaleLayout::kLinear,
                                  GemvGate gate = GemvGate::kNone) noexcept {
  GemvShape shape{};
  shape.tokens = tokens;
  shape.rows = rows;
  shape.cols = cols;
  shape.activations = activations;
  shape.gate = gate;
  shape.row_stride = cols / 2;
  shape.scale_layout = scale_layout;
  shape.scale_stride = scale_stride(scale_layout, cols / kNvfp4BlockSize);
  return shape;
}

/// The shape of a call. It reads the weights' view, tokens, gate, the activations' type and where they begin: an engine
/// that loads a model need not have the rest yet.
inline GemvShape shape_of(const GemvProblem& problem) noexcept {
  const Nvfp4MatrixView& w = problem.weights;
  const ActivationView& x = problem.activations;
  const void* activations = detail::is_dense(x.type) ? x.dense : x.nvfp4.packed;
  const auto remainder = [](const void* pointer) { return static_cast<int>(detail::misalignment(pointer, 16)); };
  return {problem.tokens,
          w.rows,
          w.cols,
          problem.activations.type,
          problem.gate,
          w.row_stride,
          w.block_scale.layout,
          w.block_scale.stride,
          w.block_scale.row_origin,
          w.block_scale.block_origin,
          remainder(w.block_scale.data),
          remainder(w.packed),
          remainder(activations)};
}

/// Whether a call can have these sizes: 1..16 tokens, up to kMaxGemvRows rows, which a gate wants even, and a K that is
/// a multiple of 16.
constexpr Status validate(const GemvShape& shape) noexcept {
  if (shape.cols < 1 || shape.cols % kNvfp4BlockSize != 0) {
    return detail::invalid("weights.cols", shape.cols, "a multiple of 16, 16 or more");
  }
  return detail::check_sizes(shape.tokens, shape.rows, shape.gate);
}

RESET_NAMESPACE_END
