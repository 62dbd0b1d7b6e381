// A well-formed call over addresses that are never read: each operand in a region of its own.
#pragma once

#include <cstdint>

#include <reset/gemv/problem.hpp>

inline const std::uint8_t* region(std::uintptr_t number) { return reinterpret_cast<const std::uint8_t*>(number << 40); }

// The same block scales, swizzled.
inline void swizzle_scales(reset::Nvfp4MatrixView& view) {
  view.block_scale.layout = reset::ScaleLayout::kSwizzled128x4;
  view.block_scale.stride = reset::scale_stride(view.block_scale.layout, view.blocks());
}

inline reset::GemvProblem well_formed(reset::ActivationType activation, std::int64_t m, std::int64_t n,
                                      std::int64_t k) {
  const auto global = reset::FusedGlobalScales::uniform({0.5f});
  reset::GemvProblem problem;
  problem.weights = {region(1), n, k, k / 2, {}, global};
  problem.weights.block_scale.data = region(2);
  problem.weights.block_scale.stride = k / 16;
  problem.activations.type = activation;
  if (activation == reset::ActivationType::kNvfp4) {
    problem.activations.nvfp4 = {region(3), m, k, k / 2, {}, global};
    problem.activations.nvfp4.block_scale.data = region(4);
    problem.activations.nvfp4.block_scale.stride = k / 16;
  } else {
    problem.activations.dense = region(3);
    problem.activations.row_stride = k;
  }
  problem.tokens = m;
  problem.output.data = const_cast<std::uint8_t*>(region(5));
  problem.output.row_stride = n;
  problem.bias = region(6);
  problem.residual = region(7);
  problem.alpha.device = reinterpret_cast<const float*>(region(8));
  return problem;
}
