/// @file
/// Decoding of NVFP4 on the device: one function per thing decoded, the target's own instruction where it has one and
/// exact bit arithmetic elsewhere.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include <reset/config.hpp>
#include <reset/nvfp4/detail/decode_bits.hpp>
#include <reset/nvfp4/detail/e2m1_halves.cuh>
#include <reset/nvfp4/detail/e4m3_halves.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {

__device__ __forceinline__ std::uint32_t bits_of_half2(__half2 value) {
  return __builtin_bit_cast(std::uint32_t, static_cast<__half2_raw>(value));
}

/// The block scales in the low two bytes of `codes`, exactly; NaN for a NaN.
__device__ __forceinline__ float2 decode_scales(std::uint32_t codes) {
  return __half22float2(decode_scale_halves(codes));
}

/// Factors that the compiler cannot know, though every grid is one deep: it would make shifts of them, and those need
/// the pipe that the masks keep busy, where multiply-adds have one to themselves.
__device__ __forceinline__ ShiftFactors unknown_factors() {
  const std::uint32_t one = gridDim.z;
  return {one * 512, one * 2, one * 32};
}

/// Word `i` of four, which is known at compile time: an index would move them to local memory.
__device__ __forceinline__ std::uint32_t word_of(const uint4& words, int i) {
  return i == 0 ? words.x : i == 1 ? words.y : i == 2 ? words.z : words.w;
}

/// Eight elements times their block scale, twice in `scale`, divided by kScaledUnit: exact in half, for the smallest
/// product is 2^-24.
__device__ __forceinline__ HalfPairs scaled_pairs(std::uint32_t codes, __half2 scale, const ShiftFactors& shift) {
  HalfPairs halves = decode_pairs(codes, shift);
#pragma unroll
  for (std::uint32_t& pair : halves.pair) pair = bits_of_half2(__hmul2(half2_from_bits(pair), scale));
  return halves;
}

/// Eight 16-bit values, in memory order two a word, in the order of `decode_pairs`: {0, 4}, {2, 6}, {1, 5}, {3, 7}
/// where bit arithmetic decodes, as they are where the target's conversion does.
__device__ __forceinline__ HalfPairs pair_up(const std::uint32_t (&words)[4]) {
#if RESET_HAS_E2M1_CONVERSION
  return {{words[0], words[1], words[2], words[3]}};
#else
  return {{permute_bytes(words[0], words[2], 0x5410), permute_bytes(words[1], words[3], 0x5410),
           permute_bytes(words[0], words[2], 0x7632), permute_bytes(words[1], words[3], 0x7632)}};
#endif
}

/// Twice the products of eight weights and the doubled activations `low` (elements 0..3) and `high` (4..7), kept apart
/// by the sign of the weight so that neither sum needs a subtraction of bytes.
__device__ __forceinline__ void add_doubled_products(std::uint32_t codes, std::uint32_t low, std::uint32_t high,
                                                     int& positive, int& negative) {
  positive = dot_int8x4(doubled_positive(codes), low, positive);
  negative = dot_int8x4(doubled_negative(codes), low, negative);
  positive = dot_int8x4(doubled_positive(codes >> 16), high, positive);
  negative = dot_int8x4(doubled_negative(codes >> 16), high, negative);
}

}  // namespace detail
RESET_NAMESPACE_END
