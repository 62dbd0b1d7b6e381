/// @file
/// A lane's weights of 16 rows and 256 of K, on their way from shared memory to the tensor core.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/decode.cuh>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/shared_memory.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {

/// A lane's weights of one item: two rows, of each twice 32 codes with two block scales.
struct ItemWeights {
  uint4 codes[2][2];           // [half of the 256][row]
  std::uint32_t scales[2][2];  // as they lie: decoded when needed, lest the load be waited for

  __device__ __forceinline__ void load(std::uint32_t stage, int lane) {
    const std::uint32_t lane_codes = stage + static_cast<std::uint32_t>(lane * 16);
    const std::uint32_t lane_scales =
        stage + static_cast<std::uint32_t>(kUnitCodeBytes + lane / 4 * kUnitBlocks + lane % 4 * 2);
    codes[0][0] = load_shared16<0>(lane_codes);
    codes[0][1] = load_shared16<512>(lane_codes);
    codes[1][0] = load_shared16<1024>(lane_codes);
    codes[1][1] = load_shared16<1536>(lane_codes);
    scales[0][0] = load_shared2<0>(lane_scales);
    scales[0][1] = load_shared2<8 * kUnitBlocks>(lane_scales);
    scales[1][0] = load_shared2<8>(lane_scales);
    scales[1][1] = load_shared2<8 * kUnitBlocks + 8>(lane_scales);
  }

  /// From rows of shared memory: the lane's places in its first row, and how far on the other is. The scales of the
  /// other half of the unit are kHalf bytes on.
  template <int kHalf>
  __device__ __forceinline__ void load_rows(std::uint32_t lane_codes, std::uint32_t codes_step,
                                            std::uint32_t lane_scales, std::uint32_t scales_step) {
    codes[0][0] = load_shared16<0>(lane_codes);
    codes[0][1] = load_shared16<0>(lane_codes + codes_step);
    scales[0][0] = load_shared2<0>(lane_scales);
    scales[0][1] = load_shared2<0>(lane_scales + scales_step);
    codes[1][0] = load_shared16<64>(lane_codes);
    codes[1][1] = load_shared16<64>(lane_codes + codes_step);
    scales[1][0] = load_shared2<kHalf>(lane_scales);
    scales[1][1] = load_shared2<kHalf>(lane_scales + scales_step);
  }

  /// From an odd row: the lane's codes of row `row`.
  __device__ __forceinline__ void load_odd_codes(int row, std::uint32_t lane_codes) {
    const uint2 piece[4] = {load_shared8<0>(lane_codes), load_shared8<8>(lane_codes), load_shared8<64>(lane_codes),
                            load_shared8<72>(lane_codes)};
    codes[0][row] = make_uint4(piece[0].x, piece[0].y, piece[1].x, piece[1].y);
    codes[1][row] = make_uint4(piece[2].x, piece[2].y, piece[3].x, piece[3].y);
  }

  /// Its scales; `of_k` has the bits of those of each half that are not beyond K.
  __device__ __forceinline__ void load_odd_scales(int row, std::uint32_t lane_scales, const std::uint32_t (&of_k)[2]) {
    scales[0][row] = (load_shared1<0>(lane_scales) | load_shared1<1>(lane_scales) << 8) & of_k[0];
    scales[1][row] = (load_shared1<8>(lane_scales) | load_shared1<9>(lane_scales) << 8) & of_k[1];
  }

  /// Word `w` of eight: 8 weights of a row, times their block scale; two words share one.
  __device__ __forceinline__ HalfPairs decode(int w, int row, const ShiftFactors& shift) const {
    const __half2 scale = decode_scale_halves(scales[w / 4][row]);
    return scaled_pairs(word(w, row), w % 4 < 2 ? __low2half2(scale) : __high2half2(scale), shift);
  }

  /// The same without the scale.
  __device__ __forceinline__ HalfPairs elements(int w, int row, const ShiftFactors& shift) const {
    return decode_pairs(word(w, row), shift);
  }

  /// The two block scales of a row in a half.
  __device__ __forceinline__ float2 block_scales(int half, int row) const { return decode_scales(scales[half][row]); }

 private:
  __device__ __forceinline__ std::uint32_t word(int w, int row) const { return word_of(codes[w / 4][row], w % 4); }
};

}  // namespace detail
RESET_NAMESPACE_END
