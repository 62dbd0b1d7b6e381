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

  /// One of the two, by selection: an index would send them through memory.
  __device__ __forceinline__ float at(int t) const { return t == 0 ? value[0] : value[1]; }

  /// Which of the two a temperature is; -1 for neither.
  __device__ __forceinline__ int index_of(float temperature) const {
    return temperature == value[0] ? 0 : temperature == value[1] ? 1 : -1;
  }
};

/// The best token of some, and the score of the one behind it.
struct RaceLead {
  std::uint64_t best;    // a key of score and id
  std::uint32_t second;  // the order of a score
};

/// What the seven warps tell each other.
struct TailRoom {
  std::uint32_t max[kTailWarps];
  std::uint64_t chunk[2][kTailWarps];
  SumPair sums[kTailWarps];
  RaceLead lead[2][kTailWarps];
  std::int32_t early[2];   // the winner at either temperature,
  std::int32_t unsure[2];  // unless another token may beat it
  RowFacts facts;
};

static __device__ __forceinline__ void tail_sync() { asm volatile("bar.sync 8, %0;" ::"n"(kTailThreads) : "memory"); }

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

static __device__ __forceinline__ RaceLead join_leads(const RaceLead& a, const RaceLead& b) {
  const RaceLead& high = a.best > b.best ? a : b;
  const std::uint32_t other = static_cast<std::uint32_t>((a.best > b.best ? b : a).best >> 32);
  return {high.best, other > high.second ? other : high.second};
}

/// The lead in a warp.
static __device__ __forceinline__ RaceLead warp_lead(const RaceLead& own) {
  const std::uint64_t best = warp_best(own.best);
  const std::uint32_t rest = own.best == best ? own.second : static_cast<std::uint32_t>(own.best >> 32);
  return {best, __reduce_max_sync(kFullWarp, rest)};
}

/// Lets the four tokens of one block of random numbers compete.
template <class T>
static __device__ __forceinline__ void race_block(const RaceRule& rule, const DeviceRow<T>& row, int chunk, int block,
                                                  RaceLead& lead) {
  float x[4];
#pragma unroll
  for (int q = 0; q < 4; ++q) x[q] = load_logit(row, chunk * kChunk + q * kChunkBlocks + block);
  const PhiloxBlock words = random_block(rule.key, static_cast<std::uint32_t>(chunk * kChunkBlocks + block));
#pragma unroll
  for (int q = 0; q < 4; ++q) {
    const std::int32_t id = chunk * kChunk + q * kChunkBlocks + block;
    if (is_finite(x[q])) lead = join_leads(lead, {candidate_key(float_score(rule, x[q], id, words.word[q]), id), 0});
  }
}

static __device__ __forceinline__ float side_of(const ChunkFacts& chunk, int t) {
  return t == 0 ? chunk.high : chunk.low;
}

/// The end of a row in the first kTailThreads threads: thread c has chunks c and c + kTailThreads. Sums are added in
/// one fixed tree over the threads, in double, so that the bits depend on the chunks alone. Code that runs once comes
/// from far away, an instruction at a time: loops are not unrolled here.
template <class T>
class Tail {
 public:
  __device__ __forceinline__ Tail(const DeviceRow<T>& row, const RandomKey& key, const Temperatures& temperatures,
                                  ChunkRoom& chunks, TailRoom& room)
      : row_(row), key_(key), temperatures_(temperatures), chunks_(chunks), room_(room) {}

  /// Merges the statistics of the chunks, and where `race` says so runs the race at both temperatures in the chunk that
  /// looks best.
  __device__ __forceinline__ void run(const ChunkFacts* facts, bool race) {
    take(facts);
    const std::uint32_t most = __reduce_max_sync(kFullWarp, order_of(max_or_nan(own_.max, other_.max)));
    if (leads_) room_.max[warp_] = most;
    if (race) point_out_chunks();
    tail_sync();
    std::uint32_t order = room_.max[0];
    for (int w = 1; w < kTailWarps; ++w) order = room_.max[w] > order ? room_.max[w] : order;
    max_ = number_of(order);
    race = race && is_finite(max_);
    if (race) race_chunks();
    add_up();
    tail_sync();
    if (race) check_leads();
    if (self_ < 2 && !race) room_.unsure[self_] = 1;
    if (self_ == 0) {
      SumPair sums = room_.sums[0];
      for (int w = 1; w < kTailWarps; ++w) sums = add_pairs(sums, room_.sums[w]);
      room_.facts = row_facts(sums, max_);
    }
  }

 private:
  __device__ __forceinline__ RaceRule rule(int t) const {
    const float scale = exponent_scale(temperatures_.at(t));
    return {key_, max_, temperatures_.at(t), scale, 0};
  }

  __device__ __forceinline__ void take(const ChunkFacts* facts) {
    own_ = take_chunk(facts, self_, row_.chunks(), chunks_);
    other_.max = float_from_bits(0xff800000u);
    if (self_ < kSamplerThreads - kTailThreads) {
      other_ = take_chunk(facts, self_ + kTailThreads, row_.chunks(), chunks_);
    }
    if (self_ < 2) room_.unsure[self_] = 0;
  }

  // The chunk that can reach most at either temperature, not relative to the row's maximum, which is not known yet:
  // good enough to begin with.
  __device__ __forceinline__ void point_out_chunks() {
#pragma unroll 1
    for (int t = 0; t < 2; ++t) {
      const float scale = exponent_scale(temperatures_.at(t));
      const std::uint64_t mine = candidate_key(own_.max * scale + side_of(own_, t), self_);
      const std::uint64_t rival = candidate_key(other_.max * scale + side_of(other_, t), self_ + kTailThreads);
      const bool second = self_ + kTailThreads < row_.chunks() && rival > mine;
      const std::uint64_t best = warp_best(self_ < row_.chunks() ? (second ? rival : mine) : 0);
      if (leads_) room_.chunk[t][warp_] = best;
    }
  }

  __device__ __forceinline__ int chosen_chunk(int t) const {
    std::uint64_t best = room_.chunk[t][0];
    for (int w = 1; w < kTailWarps; ++w) best = room_.chunk[t][w] > best ? room_.chunk[t][w] : best;
    return candidate_id(best);
  }

  __device__ __forceinline__ void race_chunks() {
#pragma unroll 1
    for (int t = 0; t < 2; ++t) {
      const RaceRule rules = rule(t);
      const int chunk = chosen_chunk(t);
      RaceLead lead{0, 0};
#pragma unroll 1
      for (int block = self_; block < kChunkBlocks; block += kTailThreads) race_block(rules, row_, chunk, block, lead);
      lead = warp_lead(lead);
      if (leads_) room_.lead[t][warp_] = lead;
    }
  }

  __device__ __forceinline__ void add_up() {
    SumPair sums = rebase(own_, max_);
    if (row_.chunks() > kTailThreads) sums = add_pairs(sums, rebase(other_, max_));
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) sums = add_pairs(sums, shuffle_xor(sums, distance));
    if (leads_) room_.sums[warp_] = sums;
  }

  __device__ __forceinline__ void check_leads() {
#pragma unroll 1
    for (int t = 0; t < 2; ++t) {
      const RaceRule rules = rule(t);
      RaceLead lead = room_.lead[t][0];
      for (int w = 1; w < kTailWarps; ++w) lead = join_leads(lead, room_.lead[t][w]);
      const float near = candidate_logit(lead.best) - score_slack(rules);
      const int chunk = chosen_chunk(t);
      const bool unsure = lead.best == 0 || !(rules.scale > 0.0f) || lead.second >= order_of(near) ||
                          (self_ != chunk && reaches(own_, max_, rules.scale, t, near)) ||
                          (self_ + kTailThreads != chunk && reaches(other_, max_, rules.scale, t, near));
      if (__any_sync(kFullWarp, unsure) != 0 && leads_) atomicOr(&room_.unsure[t], 1);
      if (self_ == 0) room_.early[t] = candidate_id(lead.best);
    }
  }

  const int self_ = static_cast<int>(threadIdx.x);
  const int warp_ = self_ / 32;
  const bool leads_ = self_ % 32 == 0;
  const DeviceRow<T>& row_;
  const RandomKey& key_;
  const Temperatures& temperatures_;
  ChunkRoom& chunks_;
  TailRoom& room_;
  ChunkFacts own_{};
  ChunkFacts other_{};
  float max_ = 0.0f;
};

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
