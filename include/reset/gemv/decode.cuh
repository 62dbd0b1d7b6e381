/// @file
/// Decoding of NVFP4 on the device: one function per thing decoded, the target's own instruction where it has one and
/// exact bit arithmetic elsewhere.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/decode_bits.hpp>
#include <reset/nvfp4/detail/e4m3_halves.cuh>

// The conversion from E2M1 exists on the `a` and `f` targets of these families alone.
#if defined(__CUDA_ARCH_FEAT_SM100_ALL) || defined(__CUDA_ARCH_FEAT_SM103_ALL) ||       \
    defined(__CUDA_ARCH_FEAT_SM120_ALL) || defined(__CUDA_ARCH_FEAT_SM121_ALL) ||       \
    (defined(__CUDA_ARCH_FAMILY_SPECIFIC__) &&                                          \
     (__CUDA_ARCH_FAMILY_SPECIFIC__ == 1000 || __CUDA_ARCH_FAMILY_SPECIFIC__ == 1030 || \
      __CUDA_ARCH_FAMILY_SPECIFIC__ == 1200 || __CUDA_ARCH_FAMILY_SPECIFIC__ == 1210))
#define RESET_HAS_E2M1_CONVERSION 1  ///< Whether the target converts E2M1 to half in one instruction.
#else
#define RESET_HAS_E2M1_CONVERSION 0  ///< Whether the target converts E2M1 to half in one instruction.
#endif

RESET_NAMESPACE_BEGIN
namespace detail {

__device__ __forceinline__ std::uint32_t bits_of_half2(__half2 value) {
  return __builtin_bit_cast(std::uint32_t, static_cast<__half2_raw>(value));
}

/// The block scales in the low two bytes of `codes`, exactly; NaN for a NaN.
__device__ __forceinline__ float2 decode_scales(std::uint32_t codes) {
  return __half22float2(decode_scale_halves(codes));
}

/// What `scaled_pairs` divides its results by.
#if RESET_HAS_E2M1_CONVERSION
inline constexpr float kScaledUnit = 1.0f;
#else
inline constexpr float kScaledUnit = 0x1p14f;
#endif

/// Factors that the compiler cannot know, though every grid is one deep: it would make shifts of them, and those need
/// the pipe that the masks keep busy, where multiply-adds have one to themselves.
__device__ __forceinline__ ShiftFactors unknown_factors() {
  const std::uint32_t one = gridDim.z;
  return {one * 512, one * 2, one * 32};
}

/// Eight elements as pairs of halves divided by kScaledUnit, in the target's order: `pair_up` brings others into it.
__device__ __forceinline__ HalfPairs decode_pairs(std::uint32_t codes, const ShiftFactors& shift) {
#if RESET_HAS_E2M1_CONVERSION
  HalfPairs halves;
  asm("{\n"
      ".reg .b8 byte0, byte1, byte2, byte3;\n"
      "mov.b32 {byte0, byte1, byte2, byte3}, %4;\n"
      "cvt.rn.f16x2.e2m1x2 %0, byte0;\n"
      "cvt.rn.f16x2.e2m1x2 %1, byte1;\n"
      "cvt.rn.f16x2.e2m1x2 %2, byte2;\n"
      "cvt.rn.f16x2.e2m1x2 %3, byte3;\n"
      "}"
      : "=r"(halves.pair[0]), "=r"(halves.pair[1]), "=r"(halves.pair[2]), "=r"(halves.pair[3])
      : "r"(codes));
  return halves;
#else
  return half_pairs_by_bits(codes, shift);
#endif
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
