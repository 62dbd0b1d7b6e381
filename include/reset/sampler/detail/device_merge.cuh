/// @file
/// The statistics of a row from those of its chunks, in the end of the row.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/barrier.cuh>
#include <reset/sampler/detail/device_statistics.cuh>
#include <reset/sampler/detail/device_tail_room.cuh>
#include <reset/sampler/detail/exact_math.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// A chunk's sums rebased to the row's maximum, S' = e^d S and W' = e^d (W + d S) with d = m - m_row. Chosen before all
/// else, so that no branch keeps several from being under way at once; a chunk that is too far below adds 0.
static __device__ __forceinline__ SumPair rebase(const ChunkHalf& sums, bool exists, float max) {
  const bool counts = exists && is_finite(sums.max) && sums.max - max >= kDeepestExponent;
  const double distance = add_rn(static_cast<double>(counts ? sums.max : max), -static_cast<double>(max));
  const double sum = static_cast<double>(counts ? sums.first : 0.0f);
  const double weighted = static_cast<double>(counts ? sums.second : 0.0f);
  const double factor = exact_exp_inside(distance);
  return {mul_rn(factor, sum), mul_rn(factor, add_rn(weighted, mul_rn(distance, sum)))};
}

static __device__ __forceinline__ SumPair add_pairs(const SumPair& a, const SumPair& b) {
  return {add_rn(a.sum, b.sum), add_rn(a.weighted_sum, b.weighted_sum)};
}

static __device__ __forceinline__ void wait_for_sums(TailRoom& room) {
  barrier_wait(shared_address(&room.sums_ready), 0);
}

/// What the sums say of a row whose maximum is `max`.
static __device__ __forceinline__ RowFacts facts_of(float max, const SumPair& sums) {
  RowFacts facts{};
  facts.max = max;
  facts.status = status_of_max(max);
  facts.entropy = float_from_bits(0x7fc00000u);
  if (facts.status != RowStatus::kOk) return facts;
  facts.log_sum = exact_log(sums.sum);
  facts.entropy = static_cast<float>(add_rn(facts.log_sum, -div_rn(sums.weighted_sum, sums.sum)));
  return facts;
}

/// What the sums say of the row. By one thread behind wait_for_sums.
static __device__ __forceinline__ RowFacts merged_facts(const TailRoom& room) {
  SumPair sums = room.sums[0];
#pragma unroll
  for (int part = 1; part < kSumWarps; ++part) sums = add_pairs(sums, room.sums[part]);
  return facts_of(room.max[0], sums);
}

/// By one warp: adds the sums of the `part`-th of every kSumWarps 32 chunks up in one fixed order in double, so that
/// the bits depend on the chunks alone, and finds the maximum of all chunks, which it returns.
static __device__ __forceinline__ float sum_chunks(const RowChunkFacts& facts, int part, SumPair& sums) {
  constexpr int kRounds = kSamplerThreads / 32;
  static_assert(kRounds <= 3 * kSumWarps, "a warp has three rounds");
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int count = facts.count;
  const int first = 32 * part + lane;
  const int second = first + 32 * kSumWarps;
  const int third = second + 32 * kSumWarps;
  ChunkMax maxima[kRounds];
  facts.await(maxima, [&](int i) { return load_max(facts.sums(lane + 32 * i)); });
  ChunkHalf halves[2];
  facts.await(halves, [&](int i) { return load_half(facts.sums(i == 0 ? first : second)); });
  float max = maxima[0].max;
#pragma unroll
  for (int i = 1; i < kRounds; ++i) max = max_or_nan(max, maxima[i].max);
  max = number_of(__reduce_max_sync(kFullWarp, order_of(max)));
  sums = add_pairs(rebase(halves[0], first < count, max), rebase(halves[1], second < count, max));
  if (2 * 32 * kSumWarps < count) sums = add_pairs(sums, rebase(load_half(facts.sums(third)), third < count, max));
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) sums = add_pairs(sums, shuffle_xor(sums, distance));
  return max;
}

/// By one warp, the `part`-th of those that merge.
static __device__ __forceinline__ void merge_chunks(const RowChunkFacts& facts, int part, TailRoom& room) {
  SumPair sums;
  const float max = sum_chunks(facts, part, sums);
  if (threadIdx.x % 32 != 0) return;
  room.sums[part] = sums;
  room.max[part] = max;  // each finds the same
  barrier_arrive(shared_address(&room.sums_ready));
}

/// By the policy's warp, where the entropy is that of another row: the facts of that one, to the bit as if it were the
/// row itself.
static __device__ __forceinline__ void merge_entropy_chunks(const RowChunkFacts& facts, TailRoom& room) {
  SumPair sums;
  float max = sum_chunks(facts, 0, sums);
#pragma unroll 1
  for (int part = 1; part < kSumWarps; ++part) {
    SumPair more;
    max = sum_chunks(facts, part, more);
    sums = add_pairs(sums, more);
  }
  if (threadIdx.x % 32 == 0) room.entropy_facts = facts_of(max, sums);
}

/// By the policy's thread behind that: the row's entropy, and its status where it is good by itself. The races know
/// nothing of another row that is bad: what they have found does not count then.
static __device__ __noinline__ void take_entropy(TailRoom& room) {
  if (room.facts.status != RowStatus::kOk) return;
  room.facts.entropy = room.entropy_facts.entropy;
  room.facts.status = room.entropy_facts.status;
  if (room.facts.status == RowStatus::kOk) return;
#pragma unroll
  for (int t = 0; t < 2; ++t) {
    barrier_wait(shared_address(&room.settled[t]), 0);
    room.early[t].id = -1;
  }
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
