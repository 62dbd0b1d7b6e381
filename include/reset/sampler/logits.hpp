/// @file
/// The number types that logits come in (float, and half and bfloat16 by their bits) and the chunks that a row of them
/// is read in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <reset/detail/rounding.hpp>

RESET_NAMESPACE_BEGIN

/// IEEE 754 binary16 by its bits: layout-compatible with `__half` and `_Float16`.
struct Half {
  std::uint16_t bits;  ///< Sign, 5 bits of exponent, 10 of significand.
};

/// bfloat16 by its bits: layout-compatible with `__nv_bfloat16`.
struct BFloat16 {
  std::uint16_t bits;  ///< The upper half of the float.
};

/// Whether rows of `T` can be sampled: float, `Half` and `BFloat16`.
template <class T>
inline constexpr bool is_logit_v = std::is_same_v<T, float> || std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;

namespace detail {

/// T, where it is not to be deduced of an argument, which may be a null pointer.
template <class T>
using Same = typename std::enable_if<true, T>::type;

}  // namespace detail

/// The value itself.
RESET_HOST_DEVICE constexpr float to_float(float x) noexcept { return x; }

/// The exact value, by its bits; infinities and NaN stay what they are.
RESET_HOST_DEVICE constexpr float to_float(BFloat16 x) noexcept {
  return detail::float_from_bits(static_cast<std::uint32_t>(x.bits) << 16);
}

/// The exact value, by its bits; subnormals, infinities and NaN included.
RESET_HOST_DEVICE constexpr float to_float(Half x) noexcept {
  const std::int32_t magnitude = x.bits & 0x7fff;
  const std::int32_t sign = (x.bits & 0x8000) << 16;
  // Written without branches so that loops over it vectorise: a normal number only changes its exponent's bias, and a
  // subnormal one counts units of 2^-24.
  const std::int32_t rebias = magnitude >= 0x7c00 ? (255 - 31) << 23 : (127 - 15) << 23;
  const std::int32_t normal = (magnitude << 13) + rebias;
  const std::int32_t subnormal = static_cast<std::int32_t>(detail::bits_of(static_cast<float>(magnitude) * 0x1p-24f));
  return detail::float_from_bits(static_cast<std::uint32_t>((magnitude < 0x0400 ? subnormal : normal) | sign));
}

/// Vocabulary ids in one chunk of the fixed merge tree.
inline constexpr std::size_t kEntropyChunk = 1024;

/// Number of chunks of a row of `columns` logits.
RESET_HOST_DEVICE constexpr std::size_t chunk_count(std::size_t columns) noexcept {
  return (columns + kEntropyChunk - 1) / kEntropyChunk;
}

/// Between which values the logits of a chunk lie.
struct ChunkExtent {
  float max;    ///< The largest logit; -inf where all are masked.
  float depth;  ///< How far below zero the smallest lies; infinite where one is masked or the row ends, 0 if none is
                ///< negative.
};

RESET_NAMESPACE_END
