/// @file
/// What a thread of kRing multiplies: its activations, and where the block scales of its weights lie in a stage.
#pragma once

#include <cstdint>
#include <type_traits>

#include <reset/config.hpp>
#include <reset/gemv/decode.cuh>
#include <reset/gemv/detail/at_once.cuh>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/lane_places.hpp>
#include <reset/nvfp4/matrix.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// A thread's activations: kChunks chunks of 32 along K, `stride` chunks apart, doubled in int8. A chunk beyond K is 0
/// with a scale of 0, and stands at chunk 0 of the weights: it adds 0 there, and a NaN scale only where the row has
/// one.
template <int kChunks>
struct RingActivations {
  std::uint32_t values[kChunks][8];
  float2 scales[kChunks];

  /// `ready`: see AtOnce.
  template <class Ready>
  __device__ __forceinline__ RingActivations(const Nvfp4MatrixView& x, int first, int stride, Ready ready) {
    const std::uint8_t* place[kChunks];
    const std::uint8_t* scale[kChunks][2];
    std::uint64_t known = 0;
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      const int chunk = first + c * stride;
      place[c] = x.packed + chunk * std::int64_t{16};
#pragma unroll
      for (int i = 0; i < 2; ++i) scale[c][i] = x.block_scale.data + x.block_scale.offset(0, chunk * 2 + i);
      known |= known_bits(place[c]) | known_bits(scale[c][0]) | known_bits(scale[c][1]);
    }
    ready(known);
#pragma unroll
    for (int c = 0; c < kChunks; ++c) load(c, first + c * stride < x.cols / 32, place[c], scale[c]);
  }

  __device__ __forceinline__ void load(int c, bool inside, const std::uint8_t* place,
                                       const std::uint8_t* const (&scale)[2]) {
    uint4 codes = {0, 0, 0, 0};
    scales[c] = {0.0f, 0.0f};
    if (inside) {
      codes = *reinterpret_cast<const uint4*>(place);
      const std::uint32_t low = *scale[0];
      const std::uint32_t high = *scale[1];
      scales[c] = decode_scales(low | high << 8);
    }
    const std::uint32_t words[4] = {codes.x, codes.y, codes.z, codes.w};
#pragma unroll
    for (int i = 0; i < 8; ++i) values[c][i] = doubled_int8x4(words[i / 2] >> (16 * (i % 2)));
  }

  /// Adds the products of a chunk of weights and their two block scales.
  __device__ __forceinline__ void add(int c, const uint4& codes, float2 weight_scales, float& sum) const {
    const std::uint32_t(&x)[8] = values[c];
    int positive[2] = {0, 0};
    int negative[2] = {0, 0};
    add_doubled_products(codes.x, x[0], x[1], positive[0], negative[0]);
    add_doubled_products(codes.y, x[2], x[3], positive[0], negative[0]);
    add_doubled_products(codes.z, x[4], x[5], positive[1], negative[1]);
    add_doubled_products(codes.w, x[6], x[7], positive[1], negative[1]);
    sum = fmaf(weight_scales.x, scales[c].x * static_cast<float>(positive[0] - negative[0]), sum);
    sum = fmaf(weight_scales.y, scales[c].y * static_cast<float>(positive[1] - negative[1]), sum);
  }
};

/// The two block scales of a thread's chunk in each row of a stage.
template <int kRows, bool kSpread>
struct RingScales {
  const std::uint8_t* place;
  int row_bytes;

  __device__ __forceinline__ RingScales(const std::uint8_t* scales, int row_bytes, int, int chunk)
      : place(scales + chunk * 2), row_bytes(row_bytes) {}

  __device__ __forceinline__ std::uint32_t pair(int row) const {
    return *reinterpret_cast<const std::uint16_t*>(place + row * row_bytes);
  }
};

/// Where rows are spread, those of four rows and of two chunks lie together; a tile of two rows wants half of them.
template <int kRows>
struct RingScales<kRows, true> {
  std::conditional_t<kRows == kPieceRows, uint4, uint2> runs;
  int shift;

  __device__ __forceinline__ RingScales(const std::uint8_t* scales, int, int tile, int chunk)
      : runs(*reinterpret_cast<const decltype(runs)*>(scales + ring_box_scales(kRows, tile, chunk / 2 * 2))),
        shift(chunk % 2 * 16) {}

  __device__ __forceinline__ std::uint32_t pair(int row) const {
    std::uint32_t run = row == 0 ? runs.x : runs.y;
    if constexpr (kRows == kPieceRows) run = row < 2 ? run : row == 2 ? runs.z : runs.w;
    return run >> shift & 0xffff;
  }
};

}  // namespace detail
RESET_NAMESPACE_END
