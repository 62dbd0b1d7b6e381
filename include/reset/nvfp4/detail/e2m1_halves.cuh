/// @file
/// Elements as halves, by the target's own conversion where it has one.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include <reset/config.hpp>
#include <reset/nvfp4/detail/decode_bits.hpp>
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

/// What `decode_pairs` divides its results by.
#if RESET_HAS_E2M1_CONVERSION
inline constexpr float kScaledUnit = 1.0f;
#else
inline constexpr float kScaledUnit = 0x1p14f;
#endif

/// Eight elements as pairs of halves divided by kScaledUnit, in the target's order: {0, 1}, {2, 3} and so on where it
/// converts, that of `half_pairs_by_bits` elsewhere.
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

/// Eight elements in the order of memory as floats divided by kScaledUnit.
__device__ __forceinline__ void decode_octet(std::uint32_t codes, float (&values)[8]) {
  const HalfPairs halves = decode_pairs(codes, {});
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = __half22float2(half2_from_bits(halves.pair[i]));
    const int first = RESET_HAS_E2M1_CONVERSION ? 2 * i : i / 2 + i % 2 * 2;
    values[first] = pair.x;
    values[RESET_HAS_E2M1_CONVERSION ? first + 1 : first + 4] = pair.y;
  }
}

}  // namespace detail
RESET_NAMESPACE_END
