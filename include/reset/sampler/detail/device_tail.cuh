/// @file
/// The end of a row, all latency: while seven warps of its last CTA merge the statistics and already run the race for
/// both temperatures, the eighth prepares the policy.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_pass.cuh>
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
  RaceLead lead[2][kTailWarps];  // of what each warp has raced so far
  std::int32_t early[2];         // the winner at either temperature
  float logit[2];                // and its logit,
  std::int32_t unsure[2];        // unless floats cannot tell
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

/// By values: references to choose between would send both through memory.
static __device__ __forceinline__ RaceLead join_leads(RaceLead a, RaceLead b) {
  const bool ahead = a.best > b.best;
  const std::uint32_t second = ahead ? a.second : b.second;
  const std::uint32_t beaten = static_cast<std::uint32_t>((ahead ? b.best : a.best) >> 32);
  return {ahead ? a.best : b.best, beaten > second ? beaten : second};
}

/// The lead in a warp.
static __device__ __forceinline__ RaceLead warp_lead(const RaceLead& own) {
  const std::uint64_t best = warp_best(own.best);
  const std::uint32_t rest = own.best == best ? own.second : static_cast<std::uint32_t>(own.best >> 32);
  return {best, __reduce_max_sync(kFullWarp, rest)};
}

/// The logits of the four tokens of one block of random numbers, as they are stored: nothing waits for them here.
template <class T>
struct BlockTokens {
  T x[4];
};

/// Where the row has ended, its last logit stands in; without a chunk, any do.
template <class T>
static __device__ __forceinline__ BlockTokens<T> load_block(const DeviceRow<T>& row, int chunk, int block) {
  BlockTokens<T> tokens;
#pragma unroll
  for (int q = 0; q < 4; ++q) {
    const int id = (chunk < 0 ? 0 : chunk * kChunk) + q * kChunkBlocks + block;
    tokens.x[q] = row.data[id < row.columns ? id : row.columns - 1];
  }
  return tokens;
}

/// The lead among them.
template <class T>
static __device__ __forceinline__ RaceLead race_block(const RaceRule& rule, const BlockTokens<T>& tokens, int columns,
                                                      int chunk, int block) {
  const PhiloxBlock words = random_block(rule.key, static_cast<std::uint32_t>(chunk * kChunkBlocks + block));
  RaceLead lead{0, 0};
#pragma unroll
  for (int q = 0; q < 4; ++q) {
    const std::int32_t id = chunk * kChunk + q * kChunkBlocks + block;
    const float x = device_float(tokens.x[q]);
    const std::uint64_t key = candidate_key(float_score(rule, x, id, words.word[q]), id);
    lead = join_leads(lead, {id < columns && is_finite(x) ? key : 0, 0});
  }
  return lead;
}

/// The end of a row in the first kTailThreads threads: thread c has chunks c and c + kTailThreads. Sums are added in
/// one fixed tree over the threads, in double, so that the bits depend on the chunks alone. Code that runs once comes
/// from far away, an instruction at a time: loops are not unrolled here.
template <class T>
class Tail {
 public:
  __device__ __forceinline__ Tail(const DeviceRow<T>& row, const PassRule& rule, const Temperatures& temperatures,
                                  ChunkRoom& chunks, TailRoom& room)
      : row_(row), rule_(rule), temperatures_(temperatures), chunks_(chunks), room_(room) {}

  /// Merges the statistics of the chunks. Where `race` says so it runs the race at both temperatures as well: in the
  /// chunk that can reach most, then in those that may still hold a better token, one a turn.
  __device__ __forceinline__ void run(const ChunkFacts* facts, bool race) {
    take(facts);
#pragma unroll 1
    for (bool first = true;; first = false) {
      if (race) point_out_chunks(first);
      tail_sync();
      if (first) max_ = row_max();
      race = race && is_finite(max_);
      const int high = race ? chosen_chunk(0) : -1;
      const int low = race ? chosen_chunk(1) : -1;
      if (!first && high < 0 && low < 0) break;
      race_chunks(high, low, first);
      tail_sync();
      if (!race) break;
    }
    if (leads_ && (warp_ == 1 || warp_ == 2)) settle(warp_ - 1, race);
    if (self_ == 0) {
      SumPair sums = room_.sums[0];
      for (int w = 1; w < kTailWarps; ++w) sums = add_pairs(sums, room_.sums[w]);
      room_.facts = row_facts(sums, max_);
    }
  }

 private:
  __device__ __forceinline__ float scale(int t) const { return t == 0 ? rule_.scale_high : rule_.scale_low; }

  __device__ __forceinline__ RaceRule rule(int t) const { return {rule_.key, max_, temperatures_.at(t), scale(t), 0}; }

  // Whether there is a race at a temperature of its own.
  __device__ __forceinline__ bool takes_part(int t) const {
    return scale(t) > 0.0f && (t == 0 || temperatures_.value[0] != temperatures_.value[1]);
  }

  __device__ __forceinline__ void take(const ChunkFacts* facts) {
    own_ = take_chunk(facts, self_, row_.chunks(), chunks_);
    other_.max = float_from_bits(0xff800000u);
    if (self_ < kSamplerThreads - kTailThreads) {
      other_ = take_chunk(facts, self_ + kTailThreads, row_.chunks(), chunks_);
    }
    const std::uint32_t most = __reduce_max_sync(kFullWarp, order_of(max_or_nan(own_.max, other_.max)));
    if (!leads_) return;
    room_.max[warp_] = most;
    room_.lead[0][warp_] = room_.lead[1][warp_] = {0, 0};
  }

  __device__ __forceinline__ float row_max() const {
    std::uint32_t order = room_.max[0];
    for (int w = 1; w < kTailWarps; ++w) order = room_.max[w] > order ? room_.max[w] : order;
    return number_of(order);
  }

  __device__ __forceinline__ RaceLead lead_of(int t) const {
    RaceLead lead = room_.lead[t][0];
    for (int w = 1; w < kTailWarps; ++w) lead = join_leads(lead, room_.lead[t][w]);
    return lead;
  }

  // What score a token needs to be of interest beside the lead, which it is not far enough behind to be ruled out.
  __device__ __forceinline__ float near(int t, const RaceLead& lead) const {
    return candidate_logit(lead.best) - score_slack(rule(t));
  }

  // The chunk, its number behind what it can reach, if this is `least`; 0 if not.
  __device__ __forceinline__ std::uint64_t hope(const ChunkFacts& chunk, int number, int t, float least) const {
    const float side = t == 0 ? chunk.high : chunk.low;
    const float reach = (chunk.max - max_) * scale(t) + side;
    return is_finite(chunk.max) && reach >= least ? candidate_key(reach, number) : 0;
  }

  // Of the chunks not yet raced that can reach enough, the one that can reach most. The first time, the row's maximum
  // is not known yet: only their order matters then.
  __device__ __forceinline__ void point_out_chunks(bool first) {
#pragma unroll 1
    for (int t = 0; t < 2; ++t) {
      const float least = first ? float_from_bits(0xff800000u) : near(t, lead_of(t));
      std::uint64_t best = (raced_ >> 2 * t & 1) != 0 ? 0 : hope(own_, self_, t, least);
      const std::uint64_t rival = (raced_ >> 2 * t & 2) != 0 ? 0 : hope(other_, self_ + kTailThreads, t, least);
      best = warp_best(rival > best ? rival : best);
      if (leads_) room_.chunk[t][warp_] = takes_part(t) ? best : 0;
    }
  }

  // The chunk that was pointed out, negative for none; whoever has it takes note.
  __device__ __forceinline__ int chosen_chunk(int t) {
    std::uint64_t best = room_.chunk[t][0];
    for (int w = 1; w < kTailWarps; ++w) best = room_.chunk[t][w] > best ? room_.chunk[t][w] : best;
    if (best == 0) return -1;
    const int chunk = candidate_id(best);
    if (chunk % kTailThreads == self_) raced_ |= (chunk < kTailThreads ? 1 : 2) << 2 * t;
    return chunk;
  }

  // All logits are asked for before any is waited for. The blocks beyond one a thread are the first warps', a
  // temperature each.
  __device__ __forceinline__ void race_chunks(int high, int low, bool first) {
    static_assert(kChunkBlocks == kTailThreads + 32, "one warp takes what is left of a chunk");
    const int rest = kTailThreads + self_ % 32;
    BlockTokens<T> now = load_block(row_, high, self_);
    BlockTokens<T> next = load_block(row_, low, self_);
    const BlockTokens<T> last = load_block(row_, warp_ == 0 ? high : low, rest);
    if (first) add_up();
#pragma unroll 1
    for (int i = 0; i < (warp_ < 2 ? 3 : 2); ++i) {
      const int t = i < 2 ? i : warp_;
      const int chunk = t == 0 ? high : low;
      if (chunk >= 0) {
        const RaceLead lead = warp_lead(race_block(rule(t), now, row_.columns, chunk, i < 2 ? self_ : rest));
        if (leads_) room_.lead[t][warp_] = join_leads(room_.lead[t][warp_], lead);
      }
      now = next;
      next = last;
    }
  }

  __device__ __forceinline__ void add_up() {
    SumPair sums = rebase(own_, max_);
    if (row_.chunks() > kTailThreads) sums = add_pairs(sums, rebase(other_, max_));
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) sums = add_pairs(sums, shuffle_xor(sums, distance));
    if (leads_) room_.sums[warp_] = sums;
  }

  __device__ __forceinline__ void settle(int t, bool race) {
    const RaceLead lead = lead_of(t);
    room_.unsure[t] = !race || lead.best == 0 || lead.second >= order_of(near(t, lead)) ? 1 : 0;
    if (!race || lead.best == 0) return;
    room_.early[t] = candidate_id(lead.best);
    room_.logit[t] = load_logit(row_, room_.early[t]);
  }

  const int self_ = static_cast<int>(threadIdx.x);
  const int warp_ = self_ / 32;
  const bool leads_ = self_ % 32 == 0;
  const DeviceRow<T>& row_;
  const PassRule& rule_;
  const Temperatures& temperatures_;
  ChunkRoom& chunks_;
  TailRoom& room_;
  ChunkFacts own_{};
  ChunkFacts other_{};
  float max_ = 0.0f;
  int raced_ = 0;  // of either temperature: own_ in bit 0, other_ in bit 1
};

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
