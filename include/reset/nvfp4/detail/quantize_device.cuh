/// @file
/// The round-to-nearest rule on the device: two neighbouring threads share a block of 16, each holds eight values.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/detail/rounding.hpp>
#include <reset/nvfp4/detail/device_elements.cuh>
#include <reset/nvfp4/detail/exact_float.hpp>
#include <reset/nvfp4/detail/quantize_block.hpp>
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

static __device__ __forceinline__ float fma_rn(float x, float y, float z) {
  float sum;
  asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(sum) : "f"(x), "f"(y), "f"(z));
  return sum;
}

/// Code of the E2M1 magnitude nearest to a quotient >= 0, ties to even, infinity and NaN saturating. Adding 2^22, 2^23
/// or 2^24 rounds to the spacing of the codes below 2, below 4 and above, and leaves their number in the low bits; two
/// codes more for each power of two.
static __device__ __forceinline__ std::uint32_t code_of_magnitude(float quotient) {
  constexpr std::uint32_t kSpacing = 22u << 23;  // from a power of two to what rounds its octave
  const std::uint32_t power = max(bits_of(quotient) & kFloatInfinity, bits_of(1.0f));
  const std::uint32_t sum = bits_of(add_rn(quotient, float_from_bits(power + kSpacing)));
  return min(sum - power + (power >> 22) - (kSpacing + (bits_of(1.0f) >> 22)), 7u);
}

/// x / step rounded to nearest even, by the division itself.
struct Quotient {
  float step;
  __device__ __forceinline__ float operator()(float x) const { return div_rn(x, step); }
};

/// The same from the rounded reciprocal and two exact remainders (Markstein). Right for quotients of 2^-8 and more
/// where nothing underflows, which `usable` tells; smaller ones are wrong only in bits that no code depends on, and
/// those that overflow on the way come out as infinity or NaN.
struct QuotientByReciprocal {
  float step;
  float reciprocal;

  __device__ __forceinline__ static bool usable(float step) {
    return bits_of(step) - bits_of(0x1p-90f) < bits_of(0x1p90f) - bits_of(0x1p-90f);
  }
  __device__ __forceinline__ float operator()(float x) const {
    const float estimate = mul_rn(x, reciprocal);
    const float better = fma_rn(fma_rn(-estimate, step, x), reciprocal, estimate);
    return fma_rn(fma_rn(-better, step, x), reciprocal, better);
  }
};

/// E2M1 codes of eight values, lowest nibble first.
template <class Divide>
static __device__ __forceinline__ std::uint32_t encode_octet(const float (&x)[8], const Divide& divide) {
  std::uint32_t codes = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float quotient = divide(float_from_bits(bits_of(x[i]) & kFloatMagnitude));
    const std::uint32_t code = code_of_magnitude(float_from_bits(bits_of(quotient) & kFloatMagnitude));
    codes |= (code | (bits_of(x[i]) >> 28 & 8u)) << (4 * i);
  }
  return codes;
}

/// The same by divisions. Out of line, for it is seldom needed and long: instructions have to be fetched, too.
static __device__ __noinline__ std::uint32_t encode_by_division(float4 low, float4 high, float step) {
  const float x[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
  return encode_octet(x, Quotient{step});
}

/// The same at the block scale with code `scale`; zeros if that is zero or NaN.
static __device__ __forceinline__ std::uint32_t encode_octet(const float (&x)[8], std::uint8_t scale,
                                                             GlobalScale global) {
  if (scale == 0 || scale == kE4M3Nan) return 0;
  const float step = mul_rn(e4m3_to_float(scale), global.value);
  if (!QuotientByReciprocal::usable(step)) {
    return encode_by_division({x[0], x[1], x[2], x[3]}, {x[4], x[5], x[6], x[7]}, step);
  }
  return encode_octet(x, QuotientByReciprocal{step, div_rn(1.0f, step)});
}

/// Code of the scale of a block whose largest magnitude is `block_amax`.
static __device__ __forceinline__ std::uint8_t block_scale_code(float block_amax, GlobalScale global) {
  return is_valid(global) ? float_to_e4m3(unrounded_scale(block_amax, global)) : kE4M3Nan;
}

/// Where an octet of the result goes. It depends on nothing that a kernel waits for.
struct OctetPlace {
  std::uint8_t* packed;
  std::uint8_t* scale;  ///< Of its block.
  GlobalScale global;   ///< That the view carries.
  bool stores_scale;    ///< Of the two octets of a block the first does.

  __device__ __forceinline__ OctetPlace(const QuantizeTarget& target, std::int64_t row, std::int64_t octet)
      : packed(target.out.packed + row * target.out.row_stride + octet * 4),
        scale(target.out.block_scale.data + target.out.block_scale.offset(row, octet / 2)),
        global(target.out.global.at(row)),
        stores_scale(octet % 2 == 0) {}
};

/// Quantises this thread's half of a block and stores it. All threads of a warp call it, with neighbouring octets of
/// one row, the first of the warp even; those past the end of the row have `present` false.
template <bool kAligned>
static __device__ __forceinline__ void quantize_octet(const float (&x)[8], const OctetPlace& place, bool present,
                                                      const QuantizeTarget& target) {
  std::uint32_t amax = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) amax = max(amax, bits_of(x[i]) & kFloatMagnitude);
  amax = max(amax, __shfl_xor_sync(0xffffffffu, amax, 1));
  if (!present) return;
  const GlobalScale global = target.global == nullptr ? place.global : GlobalScale{*target.global};
  const std::uint8_t scale = block_scale_code(float_from_bits(amax), global);
  const std::uint32_t codes = encode_octet(x, scale, global);
  if (kAligned || target.packed_aligned) {
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
