/// @file
/// The mat-vec kernel for everything: any alignment and stride, both scale layouts, all activations, every target.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/gemv/decode.cuh>
#include <reset/gemv/detail/epilogue.cuh>
#include <reset/gemv/detail/load_words.cuh>
#include <reset/gemv/detail/ring.cuh>
#include <reset/gemv/detail/tile_rows.hpp>
#include <reset/gemv/policy.hpp>
#include <reset/gemv/problem.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// What the general kernel is told besides the problem.
struct GeneralShape {
  int slices;                ///< Warps that share a row: 1, 2 or 4.
  int weight_alignment;      ///< A power of two that divides the address of every packed row.
  int activation_alignment;  ///< Likewise for every row of activations.
};

/// The block scales of one row: byte `at(b)` belongs to its block b, in either layout without a branch.
struct ScaleRow {
  const std::uint8_t* data;
  std::int64_t origin;
  int tile_step;

  __device__ __forceinline__ ScaleRow(const BlockScaleView& scale, std::int64_t row)
      : data(scale.data + scale_offset(scale.layout, scale.stride, scale.row_origin + row, 0)),
        origin(scale.block_origin),
        tile_step(scale.layout == ScaleLayout::kLinear ? 4 : static_cast<int>(kScaleTileBytes)) {}

  __device__ __forceinline__ const std::uint8_t* at(int block) const {
    const std::int64_t position = origin + block;
    return data + (position / 4 * tile_step + position % 4);
  }
};

/// The dot products of one block of 16 with one token's activations, for NVFP4 activations: exact inside the block.
template <int kRows>
struct IntegerBlock {
  std::uint32_t weights[kRows][4];
  float scales[kRows];

  __device__ __forceinline__ IntegerBlock(const std::uint32_t (&codes)[kRows][2], const std::uint32_t (&scale)[kRows]) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      scales[r] = decode_scale(scale[r]);
#pragma unroll
      for (int i = 0; i < 4; ++i) weights[r][i] = doubled_int8x4(codes[r][i / 2] >> (16 * (i % 2)));
    }
  }

  __device__ __forceinline__ void add(const GemvProblem& problem, int token, int block, int alignment,
                                      float* sums) const {
    const Nvfp4MatrixView& x = problem.activations.nvfp4;
    std::uint32_t codes[2];
    load_words(x.packed + (token * x.row_stride + block * 8), alignment, false, codes);
    const float scale = decode_scale(*ScaleRow(x.block_scale, token).at(block));
    std::uint32_t values[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) values[i] = doubled_int8x4(codes[i / 2] >> (16 * (i % 2)));
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      int dot = 0;
#pragma unroll
      for (int i = 0; i < 4; ++i) dot = dot_int8x4(weights[r][i], values[i], dot);
      sums[r] = fmaf(scales[r], scale * static_cast<float>(dot), sums[r]);
    }
  }
};

/// Two neighbouring activations as floats.
template <ActivationType kType>
__device__ __forceinline__ float2 widen_pair(std::uint32_t word) {
  if (kType == ActivationType::kFp16) return __half22float2(half2_from_bits(word));
  return {float_from_bits(word << 16), float_from_bits(word & 0xffff0000u)};
}

/// The same for 16-bit activations: products and sums in float.
template <ActivationType kType, int kRows>
struct FloatBlock {
  float weights[kRows][2][8];

  __device__ __forceinline__ FloatBlock(const std::uint32_t (&codes)[kRows][2], const std::uint32_t (&scale)[kRows]) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const __half2 factor = __float2half2_rn(decode_scale(scale[r]));
      scaled_weights(codes[r][0], factor, weights[r][0]);
      scaled_weights(codes[r][1], factor, weights[r][1]);
    }
  }

  __device__ __forceinline__ void add(const GemvProblem& problem, int token, int block, int alignment,
                                      float* sums) const {
    const auto* x = static_cast<const std::uint8_t*>(problem.activations.dense);
    std::uint32_t words[8];
    load_words(x + (token * problem.activations.row_stride * 2 + static_cast<std::int64_t>(block) * 32), alignment,
               false, words);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float2 pair = widen_pair<kType>(words[i]);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        sums[r] = fmaf(pair.x, weights[r][i / 4][i % 4 * 2], sums[r]);
        sums[r] = fmaf(pair.y, weights[r][i / 4][i % 4 * 2 + 1], sums[r]);
      }
    }
  }
};

template <ActivationType kType, int kRows>
struct BlockOf {
  using type = FloatBlock<kType, kRows>;
  static constexpr float kUnit = kScaledWeightUnit;
};
template <int kRows>
struct BlockOf<ActivationType::kNvfp4, kRows> {
  using type = IntegerBlock<kRows>;
  static constexpr float kUnit = 0.25f;  // both factors are doubled
};

/// One block of 16 of every row of a tile, as it lies in memory.
template <int kRows>
struct RawBlock {
  std::uint32_t codes[kRows][2];
  std::uint32_t scales[kRows];

  __device__ __forceinline__ void load(const GemvProblem& problem, TileRows<kRows> rows, std::int64_t tile, int block,
                                       int alignment) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const std::int64_t row = rows.readable_row(tile, r);
      load_words(problem.weights.packed + (row * problem.weights.row_stride + static_cast<std::int64_t>(block) * 8),
                 alignment, true, codes[r]);
      scales[r] = *ScaleRow(problem.weights.block_scale, row).at(block);
    }
  }
};

/// CTAs that must fit a multiprocessor beside each other; 0 leaves the registers to the compiler, which from sm_100 on
/// would rather spill than pass 128.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
inline constexpr int kGeneralMinCtas = 2;
#else
inline constexpr int kGeneralMinCtas = 0;
#endif

inline namespace RESET_ARCH_NAMESPACE {

/// A warp, or `slices` warps that split K, own the rows of a tile; a lane owns blocks of 16. Each weight is loaded and
/// decoded once for all tokens.
template <ActivationType kType, int kTokens, int kRows>
static __global__ void __launch_bounds__(kGeneralThreads, kGeneralMinCtas)
    gemv_general(const __grid_constant__ GemvProblem problem, GeneralShape shape) {
  constexpr int kCount = kTokens * kRows;
  __shared__ float partial[kGeneralThreads / 32][kCount];
  using Block = BlockOf<kType, kRows>;
  release_dependents();

  const TileRows<kRows> rows{problem.weights.rows, problem.gate != GemvGate::kNone};
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int slice = warp % shape.slices;
  const std::int64_t tile =
      static_cast<std::int64_t>(blockIdx.x) * (kGeneralThreads / 32 / shape.slices) + warp / shape.slices;
  const int blocks = static_cast<int>(problem.weights.blocks());
  const int step = shape.slices * 32;

  // The next weights are always on their way, the first ones before the wait: no kernel writes weights.
  RawBlock<kRows> next;
  int block = slice * 32 + lane;
  if (block < blocks) next.load(problem, rows, tile, block, shape.weight_alignment);
  wait_for_dependencies();
  float sums[kCount] = {};
  const int last_token = static_cast<int>(problem.tokens) - 1;
  while (block < blocks) {
    const typename Block::type weights(next.codes, next.scales);
    if (block + step < blocks) next.load(problem, rows, tile, block + step, shape.weight_alignment);
#pragma unroll
    for (int m = 0; m < kTokens; ++m) {
      weights.add(problem, m < last_token ? m : last_token, block, shape.activation_alignment, sums + m * kRows);
    }
    block += step;
  }

  const float sum = warp_sums<kCount>(sums, lane);
  if (lane % (32 / kCount) == 0) partial[warp][warp_sum_index<kCount>(lane)] = sum;
  __syncthreads();
  if (slice != 0) return;
  const Epilogue epilogue(problem, Block::kUnit);
  float total = 0;
  if (lane < kCount) {
    for (int s = 0; s < shape.slices; ++s) total += partial[warp + s][lane];
  }
  epilogue.store(rows, tile, lane / kRows, lane % kRows, total, lane < kCount);
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
