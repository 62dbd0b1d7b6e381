/// @file
/// A 16-bit token in kRing: rounded to integers of 16 bits by all warps of a CTA together, for each of them.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/decode.cuh>
#include <reset/gemv/detail/magnitudes.cuh>
#include <reset/gemv/problem.hpp>
#include <reset/nvfp4/detail/decode_bits.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// A token in the shared memory of a CTA: of each block of 16 a power of two, and its elements over that, rounded to
/// the nearest integer, the largest of them 2^14 or more (less where the power would be below 2^-126). High and low
/// bytes lie apart: a chunk of 32 has four runs of 16 bytes, each in a plane of its own, so that lanes with
/// neighbouring chunks meet no bank twice.
struct RingToken {
  std::uint8_t* planes;  // [low bytes of block 0, of block 1, high bytes of block 0, of block 1][chunk][16]
  float* factors;        // [block]
  int cols;

  __device__ __forceinline__ RingToken(std::uint8_t* memory, int cols_)
      : planes(memory), factors(reinterpret_cast<float*>(memory + 2 * cols_)), cols(cols_) {}

  __device__ __forceinline__ int plane_bytes() const { return cols / 2; }

  /// By `threads`, whole warps: each takes eight elements at a time, and two neighbours a block.
  __device__ __forceinline__ void round(const ActivationView& x, int thread, int threads) const {
    const bool bf16 = x.type == ActivationType::kBf16;
    const std::uint32_t infinity = bf16 ? 0x7f80u : 0x7c00u;
#pragma unroll 1
    for (int piece = thread; piece < cols / 8; piece += threads) {
      uint4 raw = static_cast<const uint4*>(x.dense)[piece];
      const std::uint32_t most = block_most(raw);
      const float largest = bf16 ? __uint_as_float(most << 16) : __low2float(half2_from_bits(most));
      int shift = min(14 - exponent_of(largest), 126);
      float factor = float_power_of_two(-shift);
      if (most >= infinity) {
        // An infinity is one of 1 or -1, beside which nothing counts; a NaN in the block makes its sums NaN.
        raw = infinities(raw, infinity, bf16 ? 0x3f80u : 0x3c00u);
        shift = 0;
        factor = __uint_as_float(most > infinity ? 0x7fc00000u : 0x7f800000u);
      }
      store(raw, bf16, float_power_of_two(shift), piece);
      if (piece % 2 == 0) factors[piece / 2] = factor;
    }
  }

 private:
  __device__ __forceinline__ static int exponent_of(float magnitude) {
    return static_cast<int>(__float_as_uint(magnitude) >> 23) - 127;
  }

  /// Infinities as ones of their sign, and everything else as 0.
  __device__ __forceinline__ static uint4 infinities(const uint4& raw, std::uint32_t infinity, std::uint32_t one) {
    const auto ones = [&](std::uint32_t pair) {
      const std::uint32_t equal = __vcmpeq2(pair & 0x7fff7fffu, infinity | infinity << 16);
      return equal & ((pair & 0x80008000u) | one | one << 16);
    };
    return make_uint4(ones(raw.x), ones(raw.y), ones(raw.z), ones(raw.w));
  }

  /// The largest magnitude of a block, of which this lane and its neighbour have a half each, by its bits.
  __device__ __forceinline__ static std::uint32_t block_most(const uint4& raw) {
    std::uint32_t most = larger_magnitudes(0, {{raw.x, raw.y, raw.z, raw.w}});
    most = max(most & 0xffffu, most >> 16);
    return max(most, __shfl_xor_sync(0xffffffffu, most, 1));
  }

  /// Stores the high and low bytes of eight elements.
  __device__ __forceinline__ void store(const uint4& raw, bool bf16, float scale, int piece) const {
    // Added to it, a float below 2^22 is rounded to an integer, whose low bits are those of the sum.
    constexpr float kInteger = 12582912.0f;
    std::uint32_t low[2];
    std::uint32_t high[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      std::uint32_t pairs[2];  // low and high bytes of two each
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const float2 both = widen(word_of(raw, 2 * i + j), bf16);
        const std::uint32_t first = __float_as_uint(fmaf(both.x, scale, kInteger));
        const std::uint32_t second = __float_as_uint(fmaf(both.y, scale, kInteger));
        pairs[j] = permute_bytes(first, second, 0x5140);
      }
      low[i] = permute_bytes(pairs[0], pairs[1], 0x5410);
      high[i] = permute_bytes(pairs[0], pairs[1], 0x7632);
    }
    std::uint8_t* place = planes + (piece / 2 % 2 * plane_bytes() + piece / 4 * 16 + piece % 2 * 8);
    *reinterpret_cast<uint2*>(place) = make_uint2(low[0], low[1]);
    *reinterpret_cast<uint2*>(place + 2 * plane_bytes()) = make_uint2(high[0], high[1]);
  }

  /// Two elements as floats.
  __device__ __forceinline__ static float2 widen(std::uint32_t pair, bool bf16) {
    if (bf16) return {__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u)};
    return __half22float2(half2_from_bits(pair));
  }
};

/// A thread's chunk of 32 of such a token. One beyond K is 0 with factors of 0, and stands at chunk 0 of the weights.
struct RingIntegers {
  std::uint32_t low[8];
  std::uint32_t high[8];
  float2 factors;

  __device__ __forceinline__ RingIntegers(const RingToken& token, int chunk) {
    uint4 planes[4] = {};
    factors = {0.0f, 0.0f};
    if (chunk < token.cols / 32) {
#pragma unroll
      for (int p = 0; p < 4; ++p) {
        planes[p] = *reinterpret_cast<const uint4*>(token.planes + (p * token.plane_bytes() + chunk * 16));
      }
      factors = reinterpret_cast<const float2*>(token.factors)[chunk];
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      low[i] = word_of(planes[i / 4], i % 4);
      high[i] = word_of(planes[2 + i / 4], i % 4);
    }
  }

  /// Adds the products of the chunk of weights and their two block scales.
  __device__ __forceinline__ void add(int, const uint4& codes, float2 weight_scales, float& sum) const {
    sum = fmaf(weight_scales.x, factors.x * block_sum(0, codes.x, codes.y), sum);
    sum = fmaf(weight_scales.y, factors.y * block_sum(1, codes.z, codes.w), sum);
  }

 private:
  /// Twice the products of a block, less than 2^23 in sum: a float holds it.
  __device__ __forceinline__ float block_sum(int block, std::uint32_t first, std::uint32_t second) const {
    int high_positive = 0;
    int high_negative = 0;
    unsigned low_positive = 0;
    unsigned low_negative = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t codes = (i < 2 ? first : second) >> (16 * (i % 2));
      const std::uint32_t positive = doubled_positive(codes);
      const std::uint32_t negative = doubled_negative(codes);
      high_positive = dot_int8x4(positive, high[block * 4 + i], high_positive);
      high_negative = dot_int8x4(negative, high[block * 4 + i], high_negative);
      low_positive = __dp4a(positive, low[block * 4 + i], low_positive);
      low_negative = __dp4a(negative, low[block * 4 + i], low_negative);
    }
    return static_cast<float>((high_positive - high_negative) * 256 + static_cast<int>(low_positive - low_negative));
  }
};

}  // namespace detail
RESET_NAMESPACE_END
