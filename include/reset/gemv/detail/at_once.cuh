/// @file
/// What a kernel knows of its activations before it waits for them.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {

__device__ __forceinline__ std::uint64_t bits(const void* address) { return reinterpret_cast<std::uint64_t>(address); }
__device__ __forceinline__ std::uint64_t bits(int value) { return static_cast<std::uint64_t>(value); }

/// The wait of a dependent launch. What loads activations is told by such a function what to wait for, and calls it,
/// once or more, with what it has to know for that, addresses first: parameters of a launch come from memory, some
/// after others, and behind the wait that would be .2 us of every launch.
struct AtDependencies {
  template <class... Known>
  __device__ __forceinline__ void operator()(Known... values) const {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    // Their bits are not all 0: a condition that the compiler cannot know is what keeps their arithmetic in front.
    const std::uint64_t known = (bits(values) | ...);
    asm volatile("{\n.reg .pred known;\nsetp.ne.u64 known, %0, 0;\n@known griddepcontrol.wait;\n}" ::"l"(known)
                 : "memory");
#endif
  }
};

/// There is nothing to wait for.
struct AtOnce {
  template <class... Known>
  __device__ __forceinline__ void operator()(Known...) const {}
};

}  // namespace detail
RESET_NAMESPACE_END
