/// @file
/// From the totals of a CTA's tiles to its results.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/decode.cuh>
#include <reset/gemv/detail/epilogue.cuh>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/row_group.cuh>
#include <reset/gemv/detail/tile_rows.hpp>
#include <reset/gemv/problem.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Where in a tile's total, as floats, the one of a row and a token is.
template <int kTokens>
__device__ __forceinline__ int total_index(int row, int token) {
  if (kTokens == 1) return row % 8 * 2 + row / 8;
  const int lane = row % 8 * 4 + token % 8 / 2;
  return (token / 8 * 32 + lane) * 4 + row / 8 * 2 + token % 2;
}

/// What a call's sums are to be multiplied with: decoded weights are divided by kScaledUnit, and so are NVFP4
/// activations; bfloat16 ones bring the factor with their own.
__device__ __forceinline__ float tensor_unit(ActivationType type) {
  return type == ActivationType::kNvfp4  ? kScaledUnit * kScaledUnit
         : type == ActivationType::kFp16 ? kScaledUnit
                                         : 1.0f;
}

/// The totals of a CTA's tiles: of each `parts`, those of the slices of K, to be added in their order.
template <int kTokens>
struct StoredTotals {
  const float* totals;
  int parts;       // at most kMaxCluster
  int part_tiles;  // from one part to the next

  /// The sum of a row and a token in the CTA's tile `tile`: all parts asked for at once.
  __device__ __forceinline__ float sum(int tile, int row, int token) const {
    constexpr int kTotal = TensorMemory<kTokens>::kTotal;
    const float* place = totals + (tile * kTotal + total_index<kTokens>(row, token));
    float part[kMaxCluster];
#pragma unroll
    for (int i = 0; i < kMaxCluster; ++i) part[i] = i < parts ? place[i * part_tiles * kTotal] : -0.0f;
    float sum = part[0];
#pragma unroll
    for (int i = 1; i < kMaxCluster; ++i) sum += part[i];
    return sum;
  }
};

/// Which tiles of the rows a CTA stores: first, first + step, ..., `count` of them.
struct StoredTiles {
  int first;
  int step;
  int count;

  /// Columns of the result.
  __device__ __forceinline__ int columns(bool gated) const { return count * tile_outputs(gated); }
};

/// A CTA's results. Everything but their sums comes before `ready`, which returns when the totals are there: the way
/// from a total to its result is part of every launch's time. `thread` is this one's place among those that store.
template <int kTokens, class Ready>
__device__ __forceinline__ void store_results(const GemvProblem& problem, const TileRows<kMmaRows>& rows,
                                              const StoredTotals<kTokens>& totals, const StoredTiles& tiles, int thread,
                                              Ready ready) {
  const Epilogue epilogue(problem, tensor_unit(problem.activations.type));
  const int log_outputs = rows.gated ? 3 : 4;  // of a tile
  const int columns = tiles.columns(rows.gated);
  const int results = columns * static_cast<int>(problem.tokens);
  const float per_column = __frcp_rn(static_cast<float>(columns));
  bool waiting = true;
#pragma unroll 1
  for (int i = thread; waiting || i < results; i += static_cast<int>(blockDim.x * blockDim.y)) {
    // A division, exact where it counts: at most 16 tokens, and half a column away from any whole number of them.
    const int token = kTokens == 1 ? 0 : static_cast<int>((static_cast<float>(i) + 0.5f) * per_column);
    const int column = i - token * columns;
    const int place = column >> log_outputs;
    const int slot = column & ((1 << log_outputs) - 1);
    const int other = slot + kMmaRows / 2;  // with a gate the row's pair
    const int tile = tiles.first + place * tiles.step;
    const bool valid = i < results && rows.holds(tile, slot);
    Epilogue::RowTerms terms[2] = {};
    std::int64_t index = 0;
    float residual = 0.0f;
    if (valid) {
      const std::int64_t row = rows.row(tile, slot);
      terms[0] = epilogue.terms(row);
      if (rows.gated) terms[1] = epilogue.terms(rows.row(tile, other));
      index = epilogue.index(token, row);
      residual = epilogue.residual(index);
    }
    if (waiting) ready();
    waiting = false;
    if (!valid) continue;
    float value = epilogue.scaled(terms[0], totals.sum(place, slot, token));
    if (rows.gated) value = epilogue.gated(value, epilogue.scaled(terms[1], totals.sum(place, other, token)));
    epilogue.store(index, value + residual);
  }
}

}  // namespace detail
RESET_NAMESPACE_END
