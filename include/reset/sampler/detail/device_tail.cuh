/// @file
/// The end of a row, all latency: seven warps of its last CTA merge the statistics and already run the races for both
/// temperatures, while the eighth prepares the policy and, from the merged statistics, lets it decide.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/barrier.cuh>
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

/// The best of some tokens or chunks, and the score of the one behind it.
struct RaceLead {
  std::uint64_t best;    // a key of score and id
  std::uint32_t second;  // the order of a score
};

/// What the warps tell each other.
struct TailRoom {
  std::uint64_t sums_ready;  // a barrier
  std::uint32_t max[kTailWarps];
  SumPair sums[kTailWarps];
  RaceLead chunk[2][kTailWarps];  // of each warp's chunks
  RaceLead token[2][kTailWarps];  // of its tokens of the chunk that leads
  std::int32_t early[2];          // the winner at either temperature
  float logit[2];                 // and its logit,
  std::int32_t unsure[2];         // unless floats cannot tell
  Temperatures expected;          // what the pass was for
  RowFacts facts;
};

static __device__ __forceinline__ void tail_sync() { asm volatile("bar.sync 8, %0;" ::"n"(kTailThreads) : "memory"); }

/// The seven warps have left their sums and maxima, and go on; a thread of the eighth waits for that.
static __device__ __forceinline__ void init_sums_ready(TailRoom& room) {
  barrier_init(shared_address(&room.sums_ready), kTailWarps);
}
static __device__ __forceinline__ void wait_for_sums(TailRoom& room) {
  barrier_wait(shared_address(&room.sums_ready), 0);
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

/// The maximum of the row.
static __device__ __forceinline__ float row_max(const TailRoom& room) {
  std::uint32_t order = room.max[0];
  for (int w = 1; w < kTailWarps; ++w) order = room.max[w] > order ? room.max[w] : order;
  return number_of(order);
}

/// By one thread behind wait_for_sums.
static __device__ __forceinline__ RowFacts merged_facts(const TailRoom& room) {
  SumPair sums = room.sums[0];
  for (int w = 1; w < kTailWarps; ++w) sums = add_pairs(sums, room.sums[w]);
  return row_facts(sums, row_max(room));
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
  __device__ __forceinline__ Tail(const DeviceRow<T>& row, const RandomKey& key, const PassRule& scales,
                                  const Temperatures& temperatures, ChunkRoom& chunks, TailRoom& room)
      : row_(row), key_(key), scales_(scales), temperatures_(temperatures), chunks_(chunks), room_(room) {}

  /// Merges the statistics of the chunks. Where `race` says so it runs the races at both temperatures as well: of the
  /// chunks, and of the tokens in the one that wins.
  __device__ __forceinline__ void run(const ChunkFacts* facts, bool race) {
    take(facts, race);
    tail_sync();
    max_ = row_max(room_);
    race = race && is_finite(max_);
    const RaceLead high = race && takes_part(0) ? lead_of(room_.chunk[0]) : RaceLead{0, 0};
    const RaceLead low = race && takes_part(1) ? lead_of(room_.chunk[1]) : RaceLead{0, 0};
    race_chunks(chunk_of(high), chunk_of(low));
    tail_sync();
    if (leads_ && warp_ == 1) settle(0, high);
    if (leads_ && warp_ == 2) settle(1, low);
  }

 private:
  __device__ __forceinline__ float scale(int t) const { return t == 0 ? scales_.scale_high : scales_.scale_low; }

  __device__ __forceinline__ RaceRule rule(int t) const { return {key_, max_, temperatures_.at(t), scale(t), 0}; }

  // Whether there is a race at a temperature of its own.
  __device__ __forceinline__ bool takes_part(int t) const {
    return scale(t) > 0.0f && (t == 0 || temperatures_.value[0] != temperatures_.value[1]);
  }

  __device__ __forceinline__ void take(const ChunkFacts* facts, bool race) {
    own_ = take_chunk(facts, self_, row_.chunks(), chunks_);
    other_.max = kNoScore;
    if (self_ < kSamplerThreads - kTailThreads) {
      other_ = take_chunk(facts, self_ + kTailThreads, row_.chunks(), chunks_);
    }
    if (race) lead_chunks();
    const std::uint32_t most = __reduce_max_sync(kFullWarp, order_of(max_or_nan(own_.max, other_.max)));
    if (!leads_) return;
    room_.max[warp_] = most;
    room_.token[0][warp_] = room_.token[1][warp_] = {0, 0};
  }

  // The leads of the warp's chunks. Noises are drawn while the facts are on their way.
  __device__ __forceinline__ void lead_chunks() {
    const bool two = row_.chunks() > kTailThreads;  // of a thread
    const float noise = chunk_noise_bits(key_, self_);
    const float other_noise = two ? chunk_noise_bits(key_, self_ + kTailThreads) : 0.0f;
#pragma unroll 1
    for (int t = 0; t < 2; ++t) {
      RaceLead lead{entry(own_, self_, t, noise), 0};
      if (two) lead = join_leads(lead, {entry(other_, self_ + kTailThreads, t, other_noise), 0});
      lead = warp_lead(lead);
      if (leads_) room_.chunk[t][warp_] = lead;
    }
  }

  // A chunk and its score, not relative to the row's maximum, which is not known yet.
  __device__ __forceinline__ std::uint64_t entry(const ChunkFacts& chunk, int number, int t, float noise) const {
    const float score = chunk.max * scale(t) + fast_log2(t == 0 ? chunk.high : chunk.low) + noise;
    return is_finite(chunk.max) ? candidate_key(score, number) : 0;
  }

  static __device__ __forceinline__ int chunk_of(const RaceLead& lead) {
    return lead.best == 0 ? -1 : candidate_id(lead.best);
  }

  static __device__ __forceinline__ RaceLead lead_of(const RaceLead* of_warps) {
    RaceLead lead = of_warps[0];
    for (int w = 1; w < kTailWarps; ++w) lead = join_leads(lead, of_warps[w]);
    return lead;
  }

  // Whether floats tell the lead from the second.
  static __device__ __forceinline__ bool is_sure(const RaceLead& lead, float slack) {
    return lead.best != 0 && lead.second < order_of(candidate_logit(lead.best) - slack);
  }

  // All logits are asked for before any is waited for. The blocks beyond one a thread are the first warps', a
  // temperature each.
  __device__ __forceinline__ void race_chunks(int high, int low) {
    static_assert(kChunkBlocks == kTailThreads + 32, "one warp takes what is left of a chunk");
    const int rest = kTailThreads + self_ % 32;
    BlockTokens<T> now = load_block(row_, high, self_);
    BlockTokens<T> next = load_block(row_, low, self_);
    const BlockTokens<T> last = load_block(row_, warp_ == 0 ? high : low, rest);
    add_up();
#pragma unroll 1
    for (int i = 0; i < (warp_ < 2 ? 3 : 2); ++i) {
      const int t = i < 2 ? i : warp_;
      const int chunk = t == 0 ? high : low;
      if (chunk >= 0) {
        const RaceLead lead = warp_lead(race_block(rule(t), now, row_.columns, chunk, i < 2 ? self_ : rest));
        if (leads_) room_.token[t][warp_] = join_leads(room_.token[t][warp_], lead);
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
    if (!leads_) return;
    room_.sums[warp_] = sums;
    barrier_arrive(shared_address(&room_.sums_ready));
  }

  __device__ __forceinline__ void settle(int t, const RaceLead& chunk) {
    room_.unsure[t] = 1;
    // Scores of chunks are rounded where they are, not relative to the row's maximum, and overflow there.
    const float offset = float_from_bits(bits_of(max_) & kFloatMagnitude) * scale(t);
    if (chunk.best == 0 || !is_finite(offset)) return;
    const RaceLead token = lead_of(room_.token[t]);
    const float slack = score_slack(rule(t));
    if (!is_sure(chunk, slack + offset * 0x1p-20f) || !is_sure(token, slack)) return;
    room_.unsure[t] = 0;
    room_.early[t] = candidate_id(token.best);
    room_.logit[t] = load_logit(row_, room_.early[t]);
  }

  const int self_ = static_cast<int>(threadIdx.x);
  const int warp_ = self_ / 32;
  const bool leads_ = self_ % 32 == 0;
  const DeviceRow<T>& row_;
  const RandomKey& key_;
  const PassRule& scales_;
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
