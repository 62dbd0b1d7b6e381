/// @file
/// How the tensor-core kernel cuts a mat-vec into consecutive, nearly equal shares.
#pragma once

#include <reset/config.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// A run of consecutive items.
struct Share {
  int first;
  int count;
};

/// Items 0 .. total - 1 cut into consecutive shares, the first `longer` of which have one item more than the others.
/// The host divides, once: a kernel that starts has better things to do.
struct Cut {
  int length;  ///< Of the shorter shares.
  int longer;  ///< How many are longer.

  RESET_HOST_DEVICE constexpr Share share(int index) const noexcept {
    const int extra = index < longer ? index : longer;
    return {index * length + extra, length + (index < longer ? 1 : 0)};
  }
};

RESET_HOST_DEVICE constexpr Cut cut(int total, int parts) noexcept { return {total / parts, total % parts}; }

}  // namespace detail
RESET_NAMESPACE_END
