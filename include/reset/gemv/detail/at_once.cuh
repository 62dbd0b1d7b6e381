/// @file
/// What there is to wait for before activations may be read. What loads them is given one of these and calls it, once
/// or more, with what it knows by then of where they are.
#pragma once

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {

/// The kernel ahead, of a dependent launch.
struct AtDependencies {
  template <class... Known>
  __device__ __forceinline__ void operator()(Known... known) const {
    wait_for_dependencies(known...);
  }
};

/// Nothing.
struct AtOnce {
  template <class... Known>
  __device__ __forceinline__ void operator()(Known...) const {}
};

}  // namespace detail
RESET_NAMESPACE_END
