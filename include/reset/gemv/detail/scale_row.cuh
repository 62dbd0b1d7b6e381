/// @file
/// The block scales of one row, in either layout.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/nvfp4/layout.hpp>
#include <reset/nvfp4/matrix.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Byte `at(b)` belongs to the row's block b: without a branch, for either layout has runs of four blocks.
struct ScaleRow {
  const std::uint8_t* data;
  std::int64_t origin;
  int run_step;  // bytes from one run to the next

  __device__ __forceinline__ ScaleRow(const BlockScaleView& scale, std::int64_t row)
      : data(scale.data + scale_offset(scale.layout, scale.stride, scale.row_origin + row, 0)),
        origin(scale.block_origin),
        run_step(scale.layout == ScaleLayout::kLinear ? 4 : static_cast<int>(kScaleTileBytes)) {}

  __device__ __forceinline__ const std::uint8_t* at(std::int64_t block) const {
    const std::int64_t position = origin + block;
    return data + (position / 4 * run_step + position % 4);
  }
};

}  // namespace detail
RESET_NAMESPACE_END
