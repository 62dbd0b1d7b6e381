/// @file
/// The largest of 16-bit values and the power of two that they are brought to integers or halves with.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/nvfp4/detail/decode_bits.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// A power of two as a float, exponent within -126..127.
__device__ __forceinline__ float float_power_of_two(int exponent) {
  return __uint_as_float(static_cast<std::uint32_t>(exponent + 127) << 23);
}

/// The larger magnitude of four pairs of 16-bit values and of what `most` holds, each by its bits.
__device__ __forceinline__ std::uint32_t larger_magnitudes(std::uint32_t most, const HalfPairs& values) {
#pragma unroll
  for (const std::uint32_t pair : values.pair) most = __vmaxu2(most, pair & 0x7fff7fffu);
  return most;
}

}  // namespace detail
RESET_NAMESPACE_END
