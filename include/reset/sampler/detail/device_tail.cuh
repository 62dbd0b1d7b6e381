/// @file
/// The end of a row, all latency: while seven warps of its last CTA merge the statistics and already run the race for
/// both temperatures, the eighth prepares the policy.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_race.cuh>
#include <reset/sampler/detail/device_statistics.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

inline constexpr int kTailWarps = kSamplerWarps - 1;
inline constexpr int kTailThreads = 32 * kTailWarps;

/// The two temperatures that a pass prepares for: those of the policy, or the plain one where it will not rule. Rows
/// behind a drafted token may turn out otherwise, and then take the long way.
struct Temperatures {
  float value[2];  // T_high and T_low

  /// Which of the two a temperature is; -1 for neither.
  __device__ __forceinline__ int index_of(float temperature) const {
    return temperature == value[0] ? 0 : temperature == value[1] ? 1 : -1;
  }
};

/// What the seven warps tell each other.
struct TailRoom {
  std::uint32_t max[kTailWarps];
  std::uint64_t chunk[2][kTailWarps];
  SumPair sums[kTailWarps];
  std::uint64_t score[2][kTailWarps];
  std::int32_t early[2];   // the winner at either temperature,
  std::int32_t unsure[2];  // unless another token may beat it
  RowFacts facts;
};

static __device__ __forceinline__ void tail_sync() { asm volatile("bar.sync 8, %0;" ::"n"(kTailThreads) : "memory"); }

static __device__ __forceinline__ std::uint64_t highest(const std::uint64_t (&keys)[kTailWarps]) {
  std::uint64_t best = keys[0];
#pragma unroll
  for (int w = 1; w < kTailWarps; ++w) best = keys[w] > best ? keys[w] : best;
  return best;
}

/// A chunk's sums rebased to the row's maximum, S' = e^d S and W' = e^d (W + d S) with d = m - m_row.
static __device__ __forceinline__ SumPair rebase(const ChunkFacts& chunk, float max) {
  if (!is_finite(chunk.max)) return {0.0, 0.0};
  const double distance = add_rn(static_cast<double>(chunk.max), -static_cast<double>(max));
  const double factor = exact_exp(distance);
  const double sum = static_cast<double>(chunk.sum);
  return {mul_rn(factor, sum), mul_rn(factor, add_rn(static_cast<double>(chunk.weighted_sum), mul_rn(distance, sum)))};
}

static __device__ __forceinline__ SumPair add_pairs(const SumPair& a, const SumPair& b) {
  return {add_rn(a.sum, b.sum), add_rn(a.weighted_sum, b.weighted_sum)};
}

/// What the sums say of the row.
static __device__ __forceinline__ RowFacts row_facts(const SumPair& sums, float max) {
  RowFacts facts{};
  facts.max = max;
  facts.status = status_of_max(max);
  facts.entropy = float_from_bits(0x7fc00000u);
  if (facts.status != RowStatus::kOk) return facts;
  facts.log_sum = exact_log(sums.sum);
  facts.entropy = static_cast<float>(add_rn(facts.log_sum, -div_rn(sums.weighted_sum, sums.sum)));
  return facts;
}

/// The tokens of one thread in the chunk that looks best at a temperature.
struct EarlyTokens {
  float score[4];
  std::int32_t first;  // id of the first; the others are 256 apart

  template <class T>
  __device__ __forceinline__ void load(const DeviceRow<T>& row, int chunk, int block) {
    first = chunk * kChunk + block;
#pragma unroll
    for (int q = 0; q < 4; ++q) score[q] = load_logit(row, first + q * kChunkBlocks);
  }

  /// Logits become scores; returns the best key.
  __device__ __forceinline__ std::uint64_t race(const RaceRule& rule) {
    const PhiloxBlock words = random_block(rule.key, random_slot(first).block);
    std::uint64_t best = 0;
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      const std::int32_t id = first + q * kChunkBlocks;
      const bool finite = is_finite(score[q]);
      score[q] = finite ? float_score(rule, score[q], id, words.word[q]) : float_from_bits(0xff800000u);
      const std::uint64_t key = finite ? candidate_key(score[q], id) : 0;
      best = key > best ? key : best;
    }
    return best;
  }

  __device__ __forceinline__ bool rivals(std::uint64_t leader, float near) const {
    bool any = false;
#pragma unroll
    for (int q = 0; q < 4; ++q) any = any || (score[q] >= near && first + q * kChunkBlocks != candidate_id(leader));
    return any;
  }
};

/// Merges the statistics of the chunks, and where `race` says so runs the race at both temperatures in the chunk that
/// looks best. For the first kTailThreads threads. Thread c takes chunks c and c + kTailThreads; sums are added in one
/// fixed tree over the threads, in double, so that the bits depend on the chunks alone.
template <class T>
static __device__ __forceinline__ void tail(const DeviceRow<T>& row, const ChunkFacts* facts, bool race,
                                            const Temperatures& temperatures, const RandomKey& key, ChunkRoom& chunks,
                                            TailRoom& room) {
  const int self = static_cast<int>(threadIdx.x);
  const int warp = self / 32;
  const bool leads = self % 32 == 0;
  const bool more = row.chunks() > kTailThreads;
  const ChunkFacts own = take_chunk(facts, self, row.chunks(), chunks);
  ChunkFacts other{};
  other.max = float_from_bits(0xff800000u);
  if (more && self < kSamplerThreads - kTailThreads) {
    other = take_chunk(facts, self + kTailThreads, row.chunks(), chunks);
  }
  if (self < 2) room.unsure[self] = 0;
  const float scale[2] = {exponent_scale(temperatures.value[0]), exponent_scale(temperatures.value[1])};
  const std::uint32_t most = __reduce_max_sync(kFullWarp, order_of(max_or_nan(own.max, other.max)));
  if (leads) room.max[warp] = most;
  if (race) {
#pragma unroll
    for (int t = 0; t < 2; ++t) {
      // Not relative to the row's maximum, which is not known yet: good enough to pick a chunk.
      const float reach = own.max * scale[t] + (t == 0 ? own.high : own.low);
      std::uint64_t best = candidate_key(self < row.chunks() ? reach : float_from_bits(0xff800000u), self);
      if (more && self + kTailThreads < row.chunks()) {
        const float others = other.max * scale[t] + (t == 0 ? other.high : other.low);
        const std::uint64_t rival = candidate_key(others, self + kTailThreads);
        best = rival > best ? rival : best;
      }
      best = warp_best(best);
      if (leads) room.chunk[t][warp] = best;
    }
  }
  tail_sync();
  std::uint32_t order = room.max[0];
#pragma unroll
  for (int w = 1; w < kTailWarps; ++w) order = room.max[w] > order ? room.max[w] : order;
  const float max = number_of(order);
  race = race && is_finite(max);
  EarlyTokens tokens[2];
  EarlyTokens last[2];  // of the blocks that are left over, for the first warp
  int chunk[2] = {0, 0};
  if (race) {
#pragma unroll
    for (int t = 0; t < 2; ++t) {
      chunk[t] = candidate_id(highest(room.chunk[t]));
      tokens[t].load(row, chunk[t], self);
      if (warp == 0) last[t].load(row, chunk[t], self + kTailThreads);
    }
  }
  SumPair sums = rebase(own, max);
  if (more) sums = add_pairs(sums, rebase(other, max));
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) sums = add_pairs(sums, shuffle_xor(sums, distance));
  if (leads) room.sums[warp] = sums;
  if (race) {
#pragma unroll
    for (int t = 0; t < 2; ++t) {
      const RaceRule rule{key, max, scale[t] > 0.0f ? temperatures.value[t] : 1.0f, 0};
      std::uint64_t best = tokens[t].race(rule);
      if (warp == 0) {
        const std::uint64_t rest = last[t].race(rule);
        best = rest > best ? rest : best;
      }
      best = warp_best(best);
      if (leads) room.score[t][warp] = best;
    }
  }
  tail_sync();
  if (race) {
#pragma unroll
    for (int t = 0; t < 2; ++t) {
      const RaceRule rule{key, max, scale[t] > 0.0f ? temperatures.value[t] : 1.0f, 0};
      const std::uint64_t leader = highest(room.score[t]);
      const float near = candidate_logit(leader) - score_slack(rule);
      bool unsure = leader == 0 || !(scale[t] > 0.0f) || tokens[t].rivals(leader, near);
      if (warp == 0) unsure = unsure || last[t].rivals(leader, near);
      unsure = unsure || (self != chunk[t] && reaches(own, max, scale[t], t, near));
      unsure = unsure || (more && self + kTailThreads != chunk[t] && reaches(other, max, scale[t], t, near));
      if (__any_sync(kFullWarp, unsure) != 0 && leads) atomicOr(&room.unsure[t], 1);
      if (self == 0) room.early[t] = leader == 0 ? 0 : candidate_id(leader);
    }
  } else if (self < 2) {
    room.unsure[self] = 1;
  }
  if (self == 0) {
    const SumPair low = add_pairs(add_pairs(room.sums[0], room.sums[1]), add_pairs(room.sums[2], room.sums[3]));
    const SumPair high = add_pairs(add_pairs(room.sums[4], room.sums[5]), room.sums[6]);
    room.facts = row_facts(add_pairs(low, high), max);
  }
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
