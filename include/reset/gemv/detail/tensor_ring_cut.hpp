/// @file
/// The rules by which kTensorRing cuts a shape, from sweeps over whole decode steps but where a rule says otherwise.
#pragma once

#include <cstdint>

#include <reset/config.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// How kTensorRing cuts a shape.
struct TensorRingCut {
  int cluster;
  int row_groups;
  int eighths;   ///< To fill with stages: of the shared memory that a CTA can have, all of which it gets where too few
                 ///< fit, or of a CTA's part, where `ctas` share it.
  int ctas = 1;  ///< A multiprocessor; one with as many groups of warps where too few stages fit.
  bool exclusive = true;  ///< GemvPolicy::exclusive. Otherwise the one CTA has half of the shared memory to fill.
};

/// The cluster for more than 8 tokens. Up to how many units of K a CTA takes alone comes for few rows from the odd
/// layers of bench_tune_gemv, which follow themselves; many rows would leave room for too few stages.
constexpr int many_tokens_cluster(int units, std::int64_t tiles_of_two) noexcept {
  const int alone = tiles_of_two < 12 ? 8 : 4;
  return units <= alone ? 1 : units <= 20 ? 2 : units <= 60 ? 4 : 8;
}

/// For one token and 11 to 20 units of K. Where a CTA's warps are few enough for two of a launch, many rows want these:
/// one of the next kernel starts as soon as the first of them has ended. Short rings leave room for the
/// CTAs of the kernel behind, attention's or the next mat-vec's.
constexpr TensorRingCut one_token_cut(int units, std::int64_t tiles_of_two) noexcept {
  if (units <= 14 && tiles_of_two >= 30) return {2, 1, 7, 2};
  if (units <= 14 && tiles_of_two >= 12) return {2, 1, 8, 3};  // by layers that follow themselves
  if (tiles_of_two >= 12 || (units > 16 && tiles_of_two >= 9)) return {2, 1, 8, 2};
  if (units > 16 && tiles_of_two >= 6) return {4, 2, 8, 2};
  if (units > 16) return {2, 1, tiles_of_two < 3 ? 5 : 4};
  if (tiles_of_two < 3) return {1, 1, 5};
  return units > 14 && tiles_of_two < 5 ? TensorRingCut{2, 1, 8, 1, false} : TensorRingCut{2, 2, 4};
}

/// For 2 to 8 tokens and 11 to 20 units of K.
constexpr TensorRingCut few_tokens_cut(int units, std::int64_t tiles_of_two) noexcept {
  if (tiles_of_two < 3) return {2, 1, units <= 16 ? 5 : 4};  // by the odd layers, too
  if (units <= 14) {
    if (tiles_of_two >= 12) return {2, 1, 8, 3};
    return tiles_of_two < 5 ? TensorRingCut{2, 1, 5} : TensorRingCut{2, 2, 4};
  }
  if (units <= 16) return tiles_of_two < 5 ? TensorRingCut{2, 1, 4} : TensorRingCut{2, 1, 8, 2};
  // The widest layers; still more rows, a head's, would leave no room for stages beside the sums of several tokens.
  if (tiles_of_two >= 40 && tiles_of_two < 64) return {4, 2, 8};
  if (tiles_of_two >= 22) return {2, 2, 8};
  if (tiles_of_two >= 12) return {4, 2, 8, 2};  // by layers that follow themselves
  if (tiles_of_two < 6) return {2, 1, 5};
  return tiles_of_two < 9 ? TensorRingCut{4, 3, 8} : TensorRingCut{2, 1, 8, 2};
}

/// For more than 8 tokens, whose sums leave room for few groups.
constexpr TensorRingCut many_tokens_cut(int units, std::int64_t tiles_of_two) noexcept {
  if (units > 40 && units <= 56 && tiles_of_two < 12) return {8, 2, 8};
  if (units > 16 && units <= 20 && tiles_of_two >= 4) {
    return tiles_of_two >= 6 && tiles_of_two < 40 ? TensorRingCut{4, 3, 8} : TensorRingCut{2, 1, 8};
  }
  if (units > 10 && units <= 14 && tiles_of_two >= 12) return {2, 1, 8, 2};  // by layers that follow themselves
  if (units > 14 && units <= 16 && tiles_of_two >= 22) return {2, 1, 8};
  if (units > 10 && units <= 16 && tiles_of_two < 5) return {2, 1, 5};
  const int cluster = many_tokens_cluster(units, tiles_of_two);
  return {cluster, 1, units > 12 * cluster ? 8 : units > 20 ? 5 : 4};
}

/// What was fastest, or near it, for so many units of K and tiles of a cluster of two, in a decode step. Much K wants
/// large clusters, many rows or few several groups of warps: many because the start and the end of a CTA count less
/// then than the latency of its loop, few because they are in shared memory before the kernel ahead has ended.
constexpr TensorRingCut tensor_ring_cut(int tokens, int units, std::int64_t tiles_of_two) noexcept {
  if (tokens > 8) return many_tokens_cut(units, tiles_of_two);
  const bool one = tokens == 1;
  if (units <= 10) return {1, units < 8 ? 8 / units : 1, 4};
  if (units > 80) return {8, 1, one ? 5 : 6};
  if (units > 72) return {8, 1, 5};
  const bool few_rows = tiles_of_two < 9;
  if (units > 64 && one) return few_rows ? TensorRingCut{8, 1, 8, 2} : TensorRingCut{8, 1, 5};
  if (units > 64) return {8, 2, 8};
  if (units > 48) return one ? TensorRingCut{8, 2, 5} : TensorRingCut{8, 1, 4};
  if (units > 32) return one ? TensorRingCut{4, 1, 8, 2} : TensorRingCut{8, 2, 5};
  if (units > 20) return !one && few_rows ? TensorRingCut{4, 1, 5} : TensorRingCut{4, 1, 8, 2};
  return one ? one_token_cut(units, tiles_of_two) : few_tokens_cut(units, tiles_of_two);
}

/// For one token and 11 to 20 units of K where memory is fast. Those of 11 to 14 units and 12 tiles or more are by
/// layers that follow themselves, here and below, and so are those of 15 and 16 units and 12 to 21 tiles.
constexpr TensorRingCut fast_memory_one_token_cut(int units, std::int64_t tiles_of_two) noexcept {
  if (units > 16) {
    if (tiles_of_two < 6) return {2, 1, 5};
    return tiles_of_two < 12 ? TensorRingCut{2, 1, 8, 2} : TensorRingCut{2, 2, 6};
  }
  if (tiles_of_two >= 12) return {2, 1, 8, 3};
  if (tiles_of_two >= 5) return {2, 2, 4};
  if (units <= 14) return {4, 2, 4};
  return tiles_of_two < 3 ? TensorRingCut{2, 1, 5} : TensorRingCut{4, 1, 5, 2};
}

/// For 2 to 8 tokens and 11 to 20 units of K.
constexpr TensorRingCut fast_memory_few_tokens_cut(int units, std::int64_t tiles_of_two) noexcept {
  if (units > 16) return tiles_of_two < 6 ? TensorRingCut{2, 1, 4} : TensorRingCut{2, 2, 8};
  if (units > 14 && tiles_of_two >= 22) return {2, 1, 7, 2};
  if (units > 14) return tiles_of_two < 5 ? TensorRingCut{2, 1, 4} : TensorRingCut{2, 1, 8, 2};
  if (tiles_of_two >= 22) return {2, 1, 8, 2};
  return tiles_of_two < 12 ? TensorRingCut{2, 1, 4} : TensorRingCut{2, 2, 8};
}

/// For more than 8 tokens: by layers that follow themselves.
constexpr TensorRingCut fast_memory_many_tokens_cut(int units, std::int64_t tiles_of_two) noexcept {
  if (units > 40 && units <= 56 && tiles_of_two < 12) return {8, 2, 8};
  if (units > 16 && units <= 20 && tiles_of_two >= 6) {
    return tiles_of_two < 22 ? TensorRingCut{4, 3, 8} : TensorRingCut{2, 1, 8};
  }
  if (units > 10 && units <= 14 && tiles_of_two >= 12) return {2, 2, 8};
  const int cluster = many_tokens_cluster(units, tiles_of_two);
  return {cluster, 1, units > 20 && units <= 60 ? 5 : 4};
}

/// The same where memory brings more to a multiprocessor than ten warps decode: clusters not larger than K wants, for
/// large ones leave multiprocessors out, and 16 to 27 warps a multiprocessor where rows are many. Multiples of four do
/// best: a multiprocessor has four schedulers, and the one that has a warp more than the others decides. Rings of one
/// token's kernel stay short where a shorter one lets the next kernel's CTA start beside it.
constexpr TensorRingCut fast_memory_cut(int tokens, int units, std::int64_t tiles_of_two) noexcept {
  if (tokens > 8) return fast_memory_many_tokens_cut(units, tiles_of_two);
  const bool one = tokens == 1;
  if (units <= 10) return {1, units < 8 ? 8 / units : 1, 4};
  if (units > 80) return one && units <= 104 ? TensorRingCut{8, 2, 8} : TensorRingCut{8, 1, 5};  // 26 warps
  if (units > 64) return {8, 2, one ? 6 : 8};
  if (units > 48) return {8, 2, 5};
  if (units > 32) return {4, 1, 5};
  if (units > 20) return one ? TensorRingCut{4, 1, 8, 2} : TensorRingCut{2, 1, 5};
  return one ? fast_memory_one_token_cut(units, tiles_of_two) : fast_memory_few_tokens_cut(units, tiles_of_two);
}

}  // namespace detail
RESET_NAMESPACE_END
