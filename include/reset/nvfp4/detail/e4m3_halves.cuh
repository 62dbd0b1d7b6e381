/// @file
/// Block scales as halves, by the target's own conversion where it has one.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include <reset/config.hpp>
#include <reset/nvfp4/e4m3.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

__device__ __forceinline__ __half2 half2_from_bits(std::uint32_t bits) {
  return __half2(__builtin_bit_cast(__half2_raw, bits));
}

/// The block scales in the low two bytes of `codes` as halves, exactly; NaN for a NaN.
__device__ __forceinline__ __half2 decode_scale_halves(std::uint32_t codes) {
#if __CUDA_ARCH__ >= 890
  std::uint32_t halves;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(static_cast<std::uint16_t>(codes)));
  return half2_from_bits(halves);
#else
  return __hmul2(half2_from_bits(e4m3_pair_by_bits(codes)), __float2half2_rn(256.0f));
#endif
}

}  // namespace detail
RESET_NAMESPACE_END
