/// @file
/// A view's complaint, under the name that the view has in a mat-vec call.
#pragma once

#include <cstdint>
#include <cstring>

#include <reset/config.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Which of the matrices of a call a view is.
enum class ViewRole : std::uint8_t { kWeights, kActivations, kPrefetch };

/// What `validate` of a view calls its members, and their names in each role; a Status can only hold literals.
inline constexpr const char* kViewArguments[][4] = {
    {"packed", "weights.packed", "activations.nvfp4.packed", "view.packed"},
    {"rows", "weights.rows", "activations.nvfp4.rows", "view.rows"},
    {"cols", "weights.cols", "activations.nvfp4.cols", "view.cols"},
    {"row_stride", "weights.row_stride", "activations.nvfp4.row_stride", "view.row_stride"},
    {"block_scale.data", "weights.block_scale.data", "activations.nvfp4.block_scale.data", "view.block_scale.data"},
    {"block_scale.layout", "weights.block_scale.layout", "activations.nvfp4.block_scale.layout",
     "view.block_scale.layout"},
    {"block_scale.row_origin", "weights.block_scale.row_origin", "activations.nvfp4.block_scale.row_origin",
     "view.block_scale.row_origin"},
    {"block_scale.block_origin", "weights.block_scale.block_origin", "activations.nvfp4.block_scale.block_origin",
     "view.block_scale.block_origin"},
    {"block_scale.stride", "weights.block_scale.stride", "activations.nvfp4.block_scale.stride",
     "view.block_scale.stride"},
    {"global.count", "weights.global.count", "activations.nvfp4.global.count", "view.global.count"},
    {"global.parts[0].first_row", "weights.global.parts[0].first_row", "activations.nvfp4.global.parts[0].first_row",
     "view.global.parts[0].first_row"},
    {"global.parts[1].first_row", "weights.global.parts[1].first_row", "activations.nvfp4.global.parts[1].first_row",
     "view.global.parts[1].first_row"},
    {"global.parts[2].first_row", "weights.global.parts[2].first_row", "activations.nvfp4.global.parts[2].first_row",
     "view.global.parts[2].first_row"},
    {"global.parts[3].first_row", "weights.global.parts[3].first_row", "activations.nvfp4.global.parts[3].first_row",
     "view.global.parts[3].first_row"},
    {"global.parts[0].scale", "weights.global.parts[0].scale", "activations.nvfp4.global.parts[0].scale",
     "view.global.parts[0].scale"},
    {"global.parts[1].scale", "weights.global.parts[1].scale", "activations.nvfp4.global.parts[1].scale",
     "view.global.parts[1].scale"},
    {"global.parts[2].scale", "weights.global.parts[2].scale", "activations.nvfp4.global.parts[2].scale",
     "view.global.parts[2].scale"},
    {"global.parts[3].scale", "weights.global.parts[3].scale", "activations.nvfp4.global.parts[3].scale",
     "view.global.parts[3].scale"}};

/// `status`, its argument named as what it is in that role.
inline Status view_status(const Status& status, ViewRole role) noexcept {
  for (const auto& names : kViewArguments) {
    if (std::strcmp(names[0], status.argument()) == 0) return status.named(names[1 + static_cast<int>(role)]);
  }
  return status;
}

}  // namespace detail
RESET_NAMESPACE_END
