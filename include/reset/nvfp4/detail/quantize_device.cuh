/// @file
/// The round-to-nearest rule on the device: two neighbouring threads share a block of 16, each holds eight values.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/detail/rounding.hpp>
#include <reset/nvfp4/detail/device_elements.cuh>
#include <reset/nvfp4/detail/e4m3_halves.cuh>
#include <reset/nvfp4/detail/exact_float.hpp>
#include <reset/nvfp4/detail/quantize_block.hpp>
#include <reset/nvfp4/detail/quick_division.hpp>
#include <reset/nvfp4/e4m3.hpp>
#include <reset/nvfp4/matrix.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

inline constexpr std::uint8_t kE4M3Nan = 0x7f;

/// Where quantised rows go.
struct QuantizeTarget {
  Nvfp4MutableMatrixView out;
  const float* global;  ///< Null, or the global scale that rules over those of `out`.
  bool packed_aligned;  ///< Every octet of `out.packed` begins at a multiple of four bytes.
  bool scales_aligned;  ///< The scales do.
  bool zero_padding;    ///< Clear the padding of the scales.

  __device__ __forceinline__ std::int64_t octets() const { return out.cols / 8; }
};

/// float_to_e4m3 of a finite x >= 0, and e4m3_to_float of a code that is no NaN: by the hardware where it can.
static __device__ __forceinline__ std::uint8_t quick_e4m3(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  std::uint16_t pair;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x));
  return static_cast<std::uint8_t>(pair);
#else
  return float_to_e4m3(x);
#endif
}
static __device__ __forceinline__ float value_of_e4m3(std::uint8_t code) {
  return __low2float(decode_scale_halves(code));
}

/// E2M1 codes of eight values, lowest nibble first.
template <class Divide>
static __device__ __forceinline__ std::uint32_t encode_octet(const float (&x)[8], const Divide& divide) {
  std::uint32_t codes[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float quotient = divide(float_from_bits(bits_of(x[i]) & kFloatMagnitude));
    const std::uint32_t code = code_of_magnitude(float_from_bits(bits_of(quotient) & kFloatMagnitude));
    codes[i] = code | (bits_of(x[i]) >> 28 & 8u);
  }
#pragma unroll
  for (int step = 1; step < 8; step *= 2) {
#pragma unroll
    for (int i = 0; i < 8; i += 2 * step) codes[i] |= codes[i + step] << (4 * step);
  }
  return codes[0];
}

/// x / divisor rounded to nearest even, by the division itself.
struct Quotient {
  float divisor;
  __device__ __forceinline__ float operator()(float x) const { return div_rn(x, divisor); }
};

/// The same by divisions. Out of line, for it is seldom needed and long: instructions have to be fetched, too.
static __device__ __noinline__ std::uint32_t encode_by_division(float4 low, float4 high, float step) {
  const float x[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
  return encode_octet(x, Quotient{step});
}

/// The same at the block scale with code `scale`; zeros if that is zero or NaN.
static __device__ __forceinline__ std::uint32_t encode_octet(const float (&x)[8], std::uint8_t scale,
                                                             GlobalScale global) {
  if (scale == 0 || scale == kE4M3Nan) return 0;
  const float step = mul_rn(value_of_e4m3(scale), global.value);
  if (!QuotientByReciprocal::serves(step)) {
    return encode_by_division({x[0], x[1], x[2], x[3]}, {x[4], x[5], x[6], x[7]}, step);
  }
  return encode_octet(x, QuotientByReciprocal{step, reciprocal_rn(step)});
}

/// A global scale and its reciprocal.
struct GlobalFactor {
  GlobalScale scale;
  float reciprocal;

  __device__ __forceinline__ explicit GlobalFactor(GlobalScale of) : scale(of), reciprocal(reciprocal_rn(of.value)) {}
};

/// Out of line, as the divisions of elements.
static __device__ __noinline__ std::uint8_t block_scale_by_division(float block_amax, float global) {
  return float_to_e4m3(unrounded_scale(block_amax, {global}));
}

/// Code of the scale of a block whose largest magnitude is `block_amax`.
static __device__ __forceinline__ std::uint8_t block_scale_code(float block_amax, const GlobalFactor& global) {
  if (!is_valid(global.scale)) return kE4M3Nan;
  const float factor = global.scale.value;
  if (scale_wants_division(block_amax, factor)) return block_scale_by_division(block_amax, factor);
  return quick_e4m3(quick_scale(block_amax, {factor, global.reciprocal}));
}

/// Where an octet of the result goes. It depends on nothing that a kernel waits for.
struct OctetPlace {
  std::uint8_t* packed;
  std::uint8_t* scale;  ///< Of its block.
  bool stores_scale;    ///< Of the two octets of a block the first does.

  __device__ __forceinline__ OctetPlace(const Nvfp4MutableMatrixView& out, std::int64_t row, std::int64_t octet)
      : packed(out.packed + row * out.row_stride + octet * 4),
        scale(out.block_scale.data + out.block_scale.offset(row, octet / 2)),
        stores_scale(octet % 2 == 0) {}
};

/// Quantises this thread's half of a block and stores it. All threads of a warp call it, with neighbouring octets of
/// one row, the first of the warp even; those past the end of the row have `present` false. `aligned`: an octet's codes
/// begin at a multiple of four bytes; with kAligned they are known to.
template <bool kAligned>
static __device__ __forceinline__ void quantize_octet(const float (&x)[8], const OctetPlace& place, bool present,
                                                      const GlobalFactor& global, bool aligned) {
  std::uint32_t amax[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) amax[i] = bits_of(x[i]) & kFloatMagnitude;
#pragma unroll
  for (int step = 4; step > 0; step /= 2) {
#pragma unroll
    for (int i = 0; i < step; ++i) amax[i] = max(amax[i], amax[i + step]);
  }
  amax[0] = max(amax[0], __shfl_xor_sync(0xffffffffu, amax[0], 1));
  if (!present) return;
  const std::uint8_t scale = block_scale_code(float_from_bits(amax[0]), global);
  const std::uint32_t codes = encode_octet(x, scale, global.scale);
  if (kAligned || aligned) {
    *reinterpret_cast<std::uint32_t*>(place.packed) = codes;
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) place.packed[i] = static_cast<std::uint8_t>(codes >> (8 * i));
  }
  if (place.stores_scale) *place.scale = scale;
}

/// Clears the scales beyond the last block of a row of the result: up to three.
static __device__ __forceinline__ void zero_block_padding(std::int64_t row, const QuantizeTarget& target) {
  const std::int64_t block = target.out.blocks() + threadIdx.x;
  if (!target.zero_padding || block >= target.out.block_scale.stride) return;
  target.out.block_scale.data[target.out.block_scale.offset(row, block)] = 0;
}

/// Clears the scales of the rows beyond the last of the result. Four blocks of a row lie together, a thread clears
/// them; `cta` counts the CTAs that do it.
static __device__ __forceinline__ void zero_row_padding(unsigned cta, const QuantizeTarget& target) {
  const MutableBlockScaleView& scale = target.out.block_scale;
  const std::int64_t words = scale.stride / kScaleTileBlocks;
  const std::int64_t index = static_cast<std::int64_t>(cta) * blockDim.x + threadIdx.x;
  const std::int64_t row = target.out.rows + index / words;
  if (row >= round_up(target.out.rows, kScaleTileRows)) return;
  std::uint8_t* word = scale.data + scale.offset(row, index % words * kScaleTileBlocks);
  if (target.scales_aligned) {
    *reinterpret_cast<std::uint32_t*>(word) = 0;
  } else {
    for (int i = 0; i < kScaleTileBlocks; ++i) word[i] = 0;
  }
}

/// The sum of `partial` over the threads of the CTA, whole warps of up to kSumLanes, in a tree of neighbours; the same
/// bits in every thread. Sums are 0 or more: the lanes that the CTA lacks change nothing.
static __device__ __forceinline__ float sum_over_lanes(float partial) {
  __shared__ float of_warp[kSumLanes / 32];
  for (int distance = 1; distance < 32; distance *= 2) {
    partial = add_rn(partial, __shfl_xor_sync(0xffffffffu, partial, distance));
  }
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = partial;
  __syncthreads();
  partial = threadIdx.x % 32 < blockDim.x / 32 ? of_warp[threadIdx.x % 32] : 0.0f;
  for (int distance = 1; distance < kSumLanes / 32; distance *= 2) {
    partial = add_rn(partial, __shfl_xor_sync(0xffffffffu, partial, distance));
  }
  return partial;
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
