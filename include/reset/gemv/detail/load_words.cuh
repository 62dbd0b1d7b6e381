/// @file
/// Loads of consecutive bytes at whatever alignment they have.
#pragma once

#include <cstdint>

#include <reset/config.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

template <class Word>
__device__ __forceinline__ Word load_one(const std::uint8_t* address, bool streaming) {
  const auto* word = reinterpret_cast<const Word*>(address);
  // Streaming data is read once: it should leave the caches first. Other data may be another kernel's result, which a
  // load through the read-only path must not see while that kernel may still run.
  return streaming ? __ldcs(word) : *word;
}

/// `kWords` words from `address` on, which is a multiple of `alignment` (a power of two). The branches are the same for
/// the whole grid.
template <int kWords>
__device__ __forceinline__ void load_words(const std::uint8_t* address, int alignment, bool streaming,
                                           std::uint32_t (&out)[kWords]) {
  if (kWords % 4 == 0 && alignment >= 16) {
#pragma unroll
    for (int i = 0; i + 3 < kWords; i += 4) {
      const uint4 words = load_one<uint4>(address + 4 * i, streaming);
      out[i] = words.x;
      out[i + 1] = words.y;
      out[i + 2] = words.z;
      out[i + 3] = words.w;
    }
  } else if (kWords % 2 == 0 && alignment >= 8) {
#pragma unroll
    for (int i = 0; i + 1 < kWords; i += 2) {
      const uint2 words = load_one<uint2>(address + 4 * i, streaming);
      out[i] = words.x;
      out[i + 1] = words.y;
    }
  } else if (alignment >= 4) {
#pragma unroll
    for (int i = 0; i < kWords; ++i) out[i] = load_one<unsigned>(address + 4 * i, streaming);
  } else if (alignment == 2) {
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      out[i] = load_one<unsigned short>(address + 4 * i, streaming) |
               static_cast<unsigned>(load_one<unsigned short>(address + 4 * i + 2, streaming)) << 16;
    }
  } else {
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      out[i] = 0;
#pragma unroll
      for (int byte = 0; byte < 4; ++byte) {
        out[i] |= static_cast<unsigned>(load_one<unsigned char>(address + 4 * i + byte, streaming)) << (8 * byte);
      }
    }
  }
}

}  // namespace detail
RESET_NAMESPACE_END
