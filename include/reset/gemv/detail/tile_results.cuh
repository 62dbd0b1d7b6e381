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

  /// The sums of a row and kEach tokens, the first a multiple of kEach, in the CTA's tile `tile`: all parts asked for
  /// at once.
  template <int kEach>
  __device__ __forceinline__ void add_up(int tile, int row, int token, float (&sums)[kEach]) const {
    constexpr int kTotal = TensorMemory<kTokens>::kTotal;
    const float* place = totals + (tile * kTotal + total_index<kTokens>(row, token));
    float part[kMaxCluster][kEach];
#pragma unroll
    for (int i = 0; i < kMaxCluster; ++i) load(place, i * part_tiles * kTotal, i < parts, part[i]);
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      sums[k] = part[0][k];
#pragma unroll
      for (int i = 1; i < kMaxCluster; ++i) sums[k] += part[i][k];
    }
  }

 private:
  /// Where there is nothing, -0, which changes no sum. The address is worked out where there is something only.
  __device__ __forceinline__ static void load(const float* place, int i, bool there, float (&part)[1]) {
    part[0] = there ? place[i] : -0.0f;
  }
  template <int kEach>
  __device__ __forceinline__ static void load(const float* place, int i, bool there, float (&part)[kEach]) {
#pragma unroll
    for (int k = 0; k < kEach; k += 2) {
      // Those of the next two tokens are another lane's.
      const float2 pair = there ? *reinterpret_cast<const float2*>(place + (i + k * 2)) : make_float2(-0.0f, -0.0f);
      part[k] = pair.x;
      part[k + 1] = pair.y;
    }
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

/// Tokens of a column that a thread can store at a time: neighbours, which share what their row brings.
RESET_HOST_DEVICE constexpr int several_tokens(int tokens) noexcept { return tokens == 1 ? 1 : tokens <= 8 ? 2 : 4; }

/// Those that it does: two take hardly longer than one; four take longer, which pays where threads are too few for one
/// each.
template <int kTokens>
__device__ __forceinline__ int stored_tokens(int columns, const GemvProblem& problem) {
  if (kTokens <= 8) return several_tokens(kTokens);
  const bool enough = columns * static_cast<int>(problem.tokens) <= static_cast<int>(blockDim.x * blockDim.y);
  return enough ? 1 : several_tokens(kTokens);
}

/// How many times they do it, by `each` of a column at a time: so many threads at the most have something to store.
__device__ __forceinline__ int stored_items(int columns, const GemvProblem& problem, int each) {
  return columns * ((static_cast<int>(problem.tokens) + each - 1) / each);
}

/// Stores a CTA's results, of kEach tokens of a column a thread at a time, whose totals lie in pairs. See
/// store_results.
template <int kTokens, int kEach, class Ready>
__device__ __forceinline__ void store_columns(const GemvProblem& problem, const TileRows<kMmaRows>& rows,
                                              const StoredTotals<kTokens>& totals, const StoredTiles& tiles, int thread,
                                              Ready ready) {
  const Epilogue epilogue(problem, tensor_unit(problem.activations.type));
  const int log_outputs = rows.gated ? 3 : 4;  // of a tile
  const int columns = tiles.columns(rows.gated);
  const auto tokens = static_cast<int>(problem.tokens);
  const int items = stored_items(columns, problem, kEach);
  const float per_column = __frcp_rn(static_cast<float>(columns));
  bool waiting = true;
#pragma unroll 1
  for (int i = thread; waiting || i < items; i += static_cast<int>(blockDim.x * blockDim.y)) {
    // A division, exact where it counts: at most 16 groups of tokens, and half a column away from any whole number.
    const int group = kTokens == 1 ? 0 : static_cast<int>((static_cast<float>(i) + 0.5f) * per_column);
    const int token = group * kEach;
    const int column = i - group * columns;
    const int place = column >> log_outputs;
    const int slot = column & ((1 << log_outputs) - 1);
    const int other = slot + kMmaRows / 2;  // with a gate the row's pair
    const int tile = tiles.first + place * tiles.step;
    const bool valid = i < items && rows.holds(tile, slot);
    Epilogue::RowTerms terms[2] = {};
    std::int64_t index = 0;
    float residual[kEach] = {};
    if (valid) {
      const std::int64_t row = rows.row(tile, slot);
      terms[0] = epilogue.terms(row);
      if (rows.gated) terms[1] = epilogue.terms(rows.row(tile, other));
      index = epilogue.index(token, row);
#pragma unroll
      for (int k = 0; k < kEach; ++k) {
        if (kEach == 1 || token + k < tokens) residual[k] = epilogue.residual(index + epilogue.index(k, 0));
      }
    }
    if (waiting) ready();
    waiting = false;
    if (!valid) continue;
    float values[kEach];
    totals.add_up(place, slot, token, values);
#pragma unroll
    for (float& value : values) value = epilogue.scaled(terms[0], value);
    if (rows.gated) {
      float others[kEach];
      totals.add_up(place, other, token, others);
#pragma unroll
      for (int k = 0; k < kEach; ++k) values[k] = epilogue.gated(values[k], epilogue.scaled(terms[1], others[k]));
    }
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      if (kEach > 1 && token + k >= tokens) break;
      epilogue.store(index + epilogue.index(k, 0), __fadd_rn(values[k], residual[k]));
    }
  }
}

/// A CTA's results. Everything but their sums comes before `ready`, which returns when the totals are there: the way
/// from a total to its result is part of every launch's time. `thread` is this one's place among those that store.
template <int kTokens, class Ready>
__device__ __forceinline__ void store_results(const GemvProblem& problem, const TileRows<kMmaRows>& rows,
                                              const StoredTotals<kTokens>& totals, const StoredTiles& tiles, int thread,
                                              Ready ready) {
  // The other kernels have one way to store: a second would be more instructions to fetch.
  if constexpr (kTokens > 8) {
    if (stored_tokens<kTokens>(tiles.columns(rows.gated), problem) == 1) {
      store_columns<kTokens, 1>(problem, rows, totals, tiles, thread, ready);
      return;
    }
  }
  store_columns<kTokens, several_tokens(kTokens)>(problem, rows, totals, tiles, thread, ready);
}

}  // namespace detail
RESET_NAMESPACE_END
