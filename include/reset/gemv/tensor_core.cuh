/// @file
/// kTensor, the tensor-core mat-vec kernel: weights as the 16-row operand of `mma`, decoded in registers; any
/// activations, any number of tokens, any layout and alignment, every target. `gemv` launches it; `gemv_instance` names
/// it as it is compiled, for 1, 8 or 16 tokens, and for weights that are copied whole or that lie anyhow.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/gemv/decode.cuh>
#include <reset/gemv/detail/async_copy.cuh>
#include <reset/gemv/detail/item_weights.cuh>
#include <reset/gemv/detail/mma.cuh>
#include <reset/gemv/detail/prefetch.cuh>
#include <reset/gemv/detail/row_group.cuh>
#include <reset/gemv/detail/shared_memory.cuh>
#include <reset/gemv/detail/tile_results.cuh>
#include <reset/gemv/detail/tile_rows.hpp>
#include <reset/gemv/detail/token_fragments.cuh>
#include <reset/gemv/detail/weight_stream.cuh>
#include <reset/gemv/detail/work_shares.hpp>
#include <reset/gemv/policy.hpp>
#include <reset/gemv/problem.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// What the kernel is told besides the problem.
struct TensorShape {
  Cut runs;   ///< Runs of outputs over CTAs.
  Cut units;  ///< 256 of K each, over slices.
  int slices;
  int k_warps;               ///< Warps that share rows: at least the units of a slice.
  WeightAlignment weights;   ///< How they lie.
  int activation_alignment;  ///< The largest power of two up to 16 that divides the address of every row of
                             ///< activations.
};

/// The rows of a CTA, or of the CTAs of a cluster.
__device__ __forceinline__ TileRows<kMmaRows> shared_rows(const GemvProblem& problem, Share runs, bool spread = false) {
  const bool gated = problem.gate != GemvGate::kNone;
  const auto outputs = static_cast<int>(gated ? problem.weights.rows / 2 : problem.weights.rows);
  const int first = runs.first * kOutputRun;
  return {problem.weights.rows, gated, first, first + min(runs.count * kOutputRun, outputs - first), spread};
}

/// A warp's part of the tokens: 256 of K in registers, for as long as it works on a slice.
template <int kTokens>
struct WarpTokens {
  static constexpr int kTiles = token_tiles(kTokens);

  TokenFragment tile[kTiles];
  float2 factors[kTiles];  // of the sums of tokens l % 4 * 2 and the next of each tile

  /// Tokens beyond the last are the last again: their sums are not stored. `scratch`: the warp's slots; `ready`: see
  /// AtOnce.
  template <TokenKind kKind, class Ready>
  __device__ __forceinline__ void load(const GemvProblem& problem, int alignment, int unit, int lane, void* scratch,
                                       Ready ready) {
    static_assert(kTokenScratchBytes + kTiles * 32 <= tensor_warp_bytes(kTokens), "the units find room behind it");
    auto* units = static_cast<float*>(scratch) + kTokenScratchBytes / 4;
    const ActivationType type = problem.activations.type;
    // Where other activations have their code as well, registers do not suffice.
    constexpr bool kSideBySide = kTiles == 2 && kKind == TokenKind::kDense;
    if constexpr (kTiles == 2 && kKind == TokenKind::kNvfp4) {
      load_codes_side_by_side(problem, alignment, unit, lane, static_cast<uint4*>(scratch), ready);
    } else if (kSideBySide && alignment == 16 && unit < problem.weights.cols / kUnitK) {
      load_side_by_side(problem, unit, lane, static_cast<uint4*>(scratch), units, ready);
    } else {
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
        tile[n].template load<kKind>(problem, alignment, first_token(problem, n), unit, lane,
                                     static_cast<uint4*>(scratch), units + n * 8, ready);
      }
    }
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
      factors[n] = {1.0f, 1.0f};
      if (kKind != TokenKind::kNvfp4 && type == ActivationType::kBf16) {
        factors[n] = reinterpret_cast<const float2*>(units + n * 8)[lane % 4];
      }
    }
  }

 private:
  __device__ __forceinline__ static int first_token(const GemvProblem& problem, int n) {
    return min(n * 8, static_cast<int>(problem.tokens) - 1);
  }

  /// All tiles of tokens are asked for before the first is waited for: of NVFP4 ones,
  template <class Ready>
  __device__ __forceinline__ void load_codes_side_by_side(const GemvProblem& problem, int alignment, int unit, int lane,
                                                          uint4* scratch, Ready ready) {
    const int last = static_cast<int>(problem.tokens) - 1;
    const int chunk = unit * (kUnitK / 32) + lane % 4;
    const auto places = [&](int n) {
      return CodePlaces(problem.activations.nvfp4, min(first_token(problem, n) + lane / 4, last), chunk);
    };
    const CodePlaces of_tiles[kTiles] = {places(0), places(1)};
    ready(of_tiles[0], of_tiles[1], alignment);
    RawCodes raw[kTiles];
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
      raw[n].load(of_tiles[n], alignment, static_cast<int>(problem.weights.cols / 16), chunk, scratch + lane * 4);
    }
#pragma unroll
    for (int n = 0; n < kTiles; ++n) tile[n].take(raw[n]);
  }
  /// and of others, whole ones.
  template <class Ready>
  __device__ __forceinline__ void load_side_by_side(const GemvProblem& problem, int unit, int lane, uint4* scratch,
                                                    float* units, Ready ready) {
    const ActivationView& x = problem.activations;
    const int last = static_cast<int>(problem.tokens) - 1;
    const std::uint8_t* rows[kTiles];
#pragma unroll
    for (int n = 0; n < kTiles; ++n) rows[n] = RawTokens::place(x, first_token(problem, n), unit, lane);
    ready(rows[0], rows[kTiles - 1]);
    RawTokens raw[kTiles];
#pragma unroll
    for (int n = 0; n < kTiles; ++n) raw[n].load(x, rows[n], first_token(problem, n), last, lane);
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
      tile[n].take(raw[n], x.type, first_token(problem, n), last, lane, scratch, units + n * 8);
    }
  }
};

template <>
struct WarpTokens<1> : TokenBlocks {};

/// The products of an item: 16 rows by the tokens, over 256 of K.
template <int kTokens>
__device__ __forceinline__ void multiply(const ItemWeights& weights, const WarpTokens<kTokens>& x,
                                         const ShiftFactors& shift, TileSums<kTokens>& sums) {
  constexpr int kTiles = token_tiles(kTokens);
  MmaSums chains[kTiles][2];  // two, so that one product need not wait for the one before it
#pragma unroll
  for (int n = 0; n < kTiles; ++n) chains[n][0] = chains[n][1] = {{0, 0, 0, 0}};
#pragma unroll
  for (int w = 0; w < 8; ++w) {
    const HalfPairs low = weights.decode(w, 0, shift);
    const HalfPairs high = weights.decode(w, 1, shift);
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
      const HalfPairs& pairs = x.tile[n].words[w];
      mma_add(chains[n][0], low.pair, high.pair, pairs.pair[0], pairs.pair[1]);
      mma_add(chains[n][1], low.pair + 2, high.pair + 2, pairs.pair[2], pairs.pair[3]);
    }
  }
#pragma unroll
  for (int n = 0; n < kTiles; ++n) {
    const float(&a)[4] = chains[n][0].value;
    const float(&b)[4] = chains[n][1].value;
    const float2 f = x.factors[n];
    sums.part[n] = {(a[0] + b[0]) * f.x, (a[1] + b[1]) * f.y, (a[2] + b[2]) * f.x, (a[3] + b[3]) * f.y};
  }
}

/// The same for one token: elements are summed up by blocks, and the sums are scaled, eight of a lane where its scaled
/// elements would be 64 pairs. A lane's two columns are its own two blocks; a chain is of the words of one of them, and
/// of the other column it has a sum that means nothing.
__device__ __forceinline__ void multiply(const ItemWeights& weights, const WarpTokens<1>& x, const ShiftFactors& shift,
                                         TileSums<1>& sums) {
  float low = 0.0f;
  float high = 0.0f;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    MmaSums chains[2] = {{{0, 0, 0, 0}}, {{0, 0, 0, 0}}};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int block = i % 2;  // alternating, so that one product need not wait for the one before it
      const int w = half * 4 + block * 2 + i / 2;
      const HalfPairs first = weights.elements(w, 0, shift);
      const HalfPairs second = weights.elements(w, 1, shift);
      const HalfPairs& pairs = x.words[half][i / 2];
      mma_add(chains[block], first.pair, second.pair, pairs.pair[0], pairs.pair[1]);
      mma_add(chains[block], first.pair + 2, second.pair + 2, pairs.pair[2], pairs.pair[3]);
    }
    const float2 scale = weights.block_scales(half, 0);
    const float2 other = weights.block_scales(half, 1);
    low += chains[0].value[0] * scale.x + chains[1].value[1] * scale.y;
    high += chains[0].value[2] * other.x + chains[1].value[3] * other.y;
  }
  sums.part[0] = {low * x.factor, high * x.factor};
}

/// A warp's tiles for one slice, the first stages of their weights requested already.
template <int kTokens, bool kWhole>
__device__ __forceinline__ void run_tiles(const RowGroup<kTokens, LocalTotals>& group, const WarpTokens<kTokens>& x,
                                          WeightStream<kWhole>& stream, std::uint32_t ring, int tiles, int lane) {
  constexpr std::uint32_t kRingEnd = kTensorStages * kTensorStageBytes;
  const ShiftFactors shift = unknown_factors();
  std::uint32_t offset = 0;  // of the stage
  group.run(tiles, [&](TileSums<kTokens>& sums) {
    async_wait<kTensorStages - 2>();
    __syncwarp();  // the stage is whole, and all lanes are done with the one before it, which is requested anew
    ItemWeights weights;
    weights.load(ring + offset, lane);
    stream.request(ring + (offset == 0 ? kRingEnd : offset) - kTensorStageBytes);
    async_commit();
    offset = offset == kRingEnd - kTensorStageBytes ? 0 : offset + kTensorStageBytes;
    multiply(weights, x, shift, sums);
  });
}

inline namespace RESET_ARCH_NAMESPACE {

/// A CTA owns a run of outputs, in tiles of 16 rows; K is cut into slices, one after the other, and a slice into 256 of
/// K a warp, which keeps its part of up to kTokens tokens in registers. Groups of warps that together hold the slice
/// take turns at the tiles: a warp streams its part of them through a ring of its own, decodes in registers and
/// multiplies on the tensor core. One of the group adds its warps' sums up, tile by tile, in a fixed order: the same
/// bits every time. No barrier of the CTA stands in the loop.
template <int kTokens, bool kWhole>
static __global__ void __launch_bounds__(32 * tensor_max_warps(kTokens), 1)
    gemv_tensor(const __grid_constant__ GemvProblem problem, const __grid_constant__ TensorShape shape,
                const __grid_constant__ Prefetch prefetch) {
  extern __shared__ __align__(128) std::uint8_t tensor_memory[];
  // Through a shuffle, so that the compiler knows that a warp's lanes agree on it.
  const int k_warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 32, 0);
  const auto group = static_cast<int>(threadIdx.y);
  const auto groups = static_cast<int>(blockDim.y);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = group * shape.k_warps + k_warp;
  const TileRows<kMmaRows> rows = shared_rows(problem, shape.runs.share(static_cast<int>(blockIdx.x)));
  const int tiles = rows.tiles();
  const TensorMemory<kTokens> memory(tensor_memory, tiles, shape.k_warps, groups);
  const std::uint32_t ring = memory.end + static_cast<std::uint32_t>(warp * (kTensorStages * kTensorStageBytes));
  release_dependents();

  for (int slice = 0; slice < shape.slices; ++slice) {
    const Share units = shape.units.share(slice);
    const int unit = units.first + k_warp;
    const bool active = k_warp < units.count;
    WeightStream<kWhole> stream(problem.weights, rows, shape.weights, unit, group, active, groups, lane);
#pragma unroll 1
    for (int s = 0; s < kTensorStages - 1; ++s) {
      stream.request(ring + static_cast<std::uint32_t>(s * kTensorStageBytes));
      async_commit();
    }
    if (threadIdx.x == 0) {
      if (slice > 0) invalidate_group_barriers(memory.barriers, group);
      init_group_barriers(memory.barriers, group, units.count);
    }
    __syncthreads();
    if (slice == 0) wait_for_dependencies();  // the weights are on their way by now
    if (active) {
      WarpTokens<kTokens> x;
      x.template load<TokenKind::kAny>(problem, shape.activation_alignment, unit, lane,
                                       memory.slots + warp * TensorMemory<kTokens>::kWarp, AtOnce());
      const RowGroup<kTokens, LocalTotals> sums(memory, {memory.totals, slice > 0, lane}, group, groups, k_warp,
                                                units.count, shape.k_warps, lane);
      run_tiles(sums, x, stream, ring, (tiles - group + groups - 1) / groups, lane);
    }
    if (slice + 1 < shape.slices) __syncthreads();
  }
  const auto thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x);
  store_results<kTokens>(problem, rows, {memory.totals, 1, 0}, {0, 1, tiles}, thread, [] { __syncthreads(); });
  if (warp == 0) prefetch_share(prefetch, lane);
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
