/// @file
/// The round-to-nearest rule on the device: two neighbouring threads share a block of 16, each holds eight values.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/detail/rounding.hpp>
#include <reset/nvfp4/detail/device_elements.cuh>
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
  bool zero_padding;    ///< Clear the padding of the scales.

  __device__ __forceinline__ std::int64_t octets() const { return out.cols / 8; }
  __device__ __forceinline__ GlobalScale global_of(std::int64_t row) const {
    return global != nullptr ? GlobalScale{*global} : out.global.at(row);
  }
};

/// E2M1 codes of eight values at a block scale that is neither zero nor NaN.
static __device__ __forceinline__ std::uint32_t encode_octet(const float (&x)[8], float step) {
  std::uint32_t codes = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const std::uint32_t quotient = bits_of(div_rn(x[i], step)) & kFloatMagnitude;
    const std::uint32_t magnitude = encode_magnitude<1, 1, Rounding::kNearestEven>(quotient);
    codes |= ((magnitude < 7 ? magnitude : 7) | (bits_of(x[i]) >> 31 << 3)) << (4 * i);
  }
  return codes;
}

/// Code of the scale of a block whose largest magnitude is `block_amax`.
static __device__ __forceinline__ std::uint8_t block_scale_code(float block_amax, GlobalScale global) {
  return is_valid(global) ? float_to_e4m3(unrounded_scale(block_amax, global)) : kE4M3Nan;
}

/// Quantises this thread's half of a block and stores it. All threads of a warp call it, with neighbouring octets of
/// one row, the first of the warp even; those past the end of the row have `present` false.
static __device__ __forceinline__ void quantize_octet(const float (&x)[8], std::int64_t row, std::int64_t octet,
                                                      bool present, GlobalScale global, const QuantizeTarget& target) {
  std::uint32_t amax = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) amax = max(amax, bits_of(x[i]) & kFloatMagnitude);
  amax = max(amax, __shfl_xor_sync(0xffffffffu, amax, 1));
  if (!present) return;
  const std::uint8_t scale = block_scale_code(float_from_bits(amax), global);
  std::uint32_t codes = 0;
  if (scale != 0 && scale != kE4M3Nan) codes = encode_octet(x, mul_rn(e4m3_to_float(scale), global.value));

  std::uint8_t* packed = target.out.packed + row * target.out.row_stride + octet * 4;
  if (target.packed_aligned) {
    *reinterpret_cast<std::uint32_t*>(packed) = codes;
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) packed[i] = static_cast<std::uint8_t>(codes >> (8 * i));
  }
  if (octet % 2 == 0) target.out.block_scale.data[target.out.block_scale.offset(row, octet / 2)] = scale;
}

/// Clears the scales first_block .. first_block + count - 1 of `row` that are padding.
static __device__ __forceinline__ void zero_scale_padding(std::int64_t row, std::int64_t first_block,
                                                          std::int64_t count, const QuantizeTarget& target) {
  if (!target.zero_padding) return;
  const std::int64_t end = min(first_block + count, target.out.block_scale.stride);
  const std::int64_t first_padding = row < target.out.rows ? max(first_block, target.out.blocks()) : first_block;
  for (std::int64_t block = first_padding + threadIdx.x; block < end; block += blockDim.x) {
    target.out.block_scale.data[target.out.block_scale.offset(row, block)] = 0;
  }
}

/// The sum of `partial` over the kSumLanes threads of the CTA, in a tree of neighbours; the same bits in every thread.
static __device__ __forceinline__ float sum_over_lanes(float partial) {
  constexpr int kWarps = kSumLanes / 32;
  __shared__ float of_warp[kWarps];
  for (int distance = 1; distance < 32; distance *= 2) {
    partial = add_rn(partial, __shfl_xor_sync(0xffffffffu, partial, distance));
  }
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = partial;
  __syncthreads();
  partial = of_warp[threadIdx.x % kWarps];
  for (int distance = 1; distance < kWarps; distance *= 2) {
    partial = add_rn(partial, __shfl_xor_sync(0xffffffffu, partial, distance));
  }
  return partial;
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
