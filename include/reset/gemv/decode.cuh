/// @file
/// Decoding of NVFP4 on the device: one function per thing decoded, the target's own instruction where it has one and
/// exact bit arithmetic elsewhere.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/decode_bits.hpp>
#include <reset/nvfp4/e4m3.hpp>

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

__device__ __forceinline__ __half2 half2_from_bits(std::uint32_t bits) {
  return __half2(__builtin_bit_cast(__half2_raw, bits));
}

/// The block scales in the low two bytes of `codes`, as two floats.
__device__ __forceinline__ float2 decode_scales(std::uint32_t codes) {
#if __CUDA_ARCH__ >= 890
  std::uint32_t halves;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(static_cast<std::uint16_t>(codes)));
  return __half22float2(half2_from_bits(halves));
#else
  return {e4m3_to_float(static_cast<std::uint8_t>(codes)), e4m3_to_float(static_cast<std::uint8_t>(codes >> 8))};
#endif
}

/// The block scale `code`, exactly; NaN for a NaN.
__device__ __forceinline__ float decode_scale(std::uint32_t code) { return decode_scales(code & 255u).x; }

/// What `scaled_weights` multiplies its results with.
#if RESET_HAS_E2M1_CONVERSION
inline constexpr float kScaledWeightUnit = 1.0f;
#else
inline constexpr float kScaledWeightUnit = 0x1p14f;
#endif

/// Eight elements times their block scale and divided by kScaledWeightUnit, exact in half: the smallest product is
/// 2^-24. Elements in the order {0, 2}, {1, 3}, {4, 6}, {5, 7}.
__device__ __forceinline__ void scaled_weights(std::uint32_t codes, __half2 scale, float (&out)[8]) {
#if RESET_HAS_E2M1_CONVERSION
  constexpr int kPosition[4][2] = {{0, 1}, {2, 3}, {4, 5}, {6, 7}};
  std::uint32_t pairs[4];
  asm("{\n"
      ".reg .b8 byte0, byte1, byte2, byte3;\n"
      "mov.b32 {byte0, byte1, byte2, byte3}, %4;\n"
      "cvt.rn.f16x2.e2m1x2 %0, byte0;\n"
      "cvt.rn.f16x2.e2m1x2 %1, byte1;\n"
      "cvt.rn.f16x2.e2m1x2 %2, byte2;\n"
      "cvt.rn.f16x2.e2m1x2 %3, byte3;\n"
      "}"
      : "=r"(pairs[0]), "=r"(pairs[1]), "=r"(pairs[2]), "=r"(pairs[3])
      : "r"(codes));
#else
  constexpr int kPosition[4][2] = {{0, 2}, {1, 3}, {4, 6}, {5, 7}};
  const HalfPairs halves = half_pairs_by_bits(codes);
  const std::uint32_t(&pairs)[4] = halves.pair;
#endif
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 weights = __half22float2(__hmul2(half2_from_bits(pairs[i]), scale));
    out[kPosition[i][0]] = weights.x;
    out[kPosition[i][1]] = weights.y;
  }
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
