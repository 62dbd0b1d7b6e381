/// @file
/// The end of a row, all latency: of the eight warps of its last CTA one merges the statistics, one lets the policy
/// decide, and the others already run the races for both temperatures.
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

/// Warps that race: half of them at either temperature, or all at the only one.
inline constexpr int kRaceWarps = kSamplerWarps - 2;
inline constexpr int kSumWarp = kRaceWarps;
inline constexpr int kPolicyWarp = kRaceWarps + 1;

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
struct alignas(16) RaceLead {
  std::uint32_t best;    // the order of a score; 0: none
  std::uint32_t second;  // likewise
  std::int32_t id;       // whose the best is
  float logit;           // and its logit; of chunks nothing
};

/// What the warps tell each other.
struct TailRoom {
  std::uint64_t sums_ready;           // a barrier
  SumPair sums;                       // of the row
  float max;                          // of it
  RaceLead chunk[2][kRaceWarps];      // of each warp's chunks, at either temperature
  RaceLead token[2][kRaceWarps];      // of its tokens of the chunk that leads
  std::uint32_t most[2][kRaceWarps];  // the order of the largest logit of its chunks
  std::int32_t early[2];              // the winner at either temperature
  float logit[2];                     // and its logit,
  std::int32_t unsure[2];             // unless floats cannot tell
  Temperatures expected;              // what the pass was for
  RowFacts facts;
};

/// The warp that merges has left the sums and the maximum, and goes on; a thread of the policy's waits for that.
static __device__ __forceinline__ void init_sums_ready(TailRoom& room) {
  barrier_init(shared_address(&room.sums_ready), 1);
}
static __device__ __forceinline__ void wait_for_sums(TailRoom& room) {
  barrier_wait(shared_address(&room.sums_ready), 0);
}

/// A chunk's sums rebased to the row's maximum, S' = e^d S and W' = e^d (W + d S) with d = m - m_row. Without a branch,
/// so that several are under way at once; a chunk without a finite maximum adds nothing.
static __device__ __forceinline__ SumPair rebase(const ChunkFacts& chunk, float max) {
  const double distance = add_rn(static_cast<double>(chunk.max), -static_cast<double>(max));
  const bool counts = is_finite(chunk.max) && distance >= kDeepestExponent;
  const double factor = exact_exp_inside(counts ? distance : 0.0);
  const double sum = static_cast<double>(chunk.sum);
  const double weighted = add_rn(static_cast<double>(chunk.weighted_sum), mul_rn(counts ? distance : 0.0, sum));
  return {counts ? mul_rn(factor, sum) : 0.0, counts ? mul_rn(factor, weighted) : 0.0};
}

static __device__ __forceinline__ SumPair add_pairs(const SumPair& a, const SumPair& b) {
  return {add_rn(a.sum, b.sum), add_rn(a.weighted_sum, b.weighted_sum)};
}

/// What the sums say of the row. By one thread behind wait_for_sums.
static __device__ __forceinline__ RowFacts merged_facts(const TailRoom& room) {
  RowFacts facts{};
  facts.max = room.max;
  facts.status = status_of_max(room.max);
  facts.entropy = float_from_bits(0x7fc00000u);
  if (facts.status != RowStatus::kOk) return facts;
  facts.log_sum = exact_log(room.sums.sum);
  facts.entropy = static_cast<float>(add_rn(facts.log_sum, -div_rn(room.sums.weighted_sum, room.sums.sum)));
  return facts;
}

/// By one warp: takes the chunks of a row to where the choice of the token finds them, and adds their sums up, a lane
/// every 32nd, in one fixed order in double, so that the bits depend on the chunks alone.
static __device__ __forceinline__ void merge_chunks(const ChunkFacts* facts, int count, ChunkRoom& chunks,
                                                    TailRoom& room) {
  constexpr int kRounds = kSamplerThreads / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  ChunkFacts own[kRounds];
#pragma unroll
  for (int i = 0; i < kRounds; ++i) own[i] = take_chunk(facts, lane + 32 * i, count, chunks);
  float max = own[0].max;
#pragma unroll
  for (int i = 1; i < kRounds; ++i) max = max_or_nan(max, own[i].max);
  max = number_of(__reduce_max_sync(kFullWarp, order_of(max)));
  SumPair sums{0.0, 0.0};
#pragma unroll
  for (int i = 0; i < kRounds; ++i) {
    if (32 * i < count) sums = add_pairs(sums, rebase(own[i], max));
  }
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) sums = add_pairs(sums, shuffle_xor(sums, distance));
  if (lane != 0) return;
  room.sums = sums;
  room.max = max;
  barrier_arrive(shared_address(&room.sums_ready));
}

/// By values: references to choose between would send both through memory.
static __device__ __forceinline__ RaceLead join_leads(RaceLead a, RaceLead b) {
  const bool ahead = a.best > b.best;
  const std::uint32_t second = ahead ? a.second : b.second;
  const std::uint32_t beaten = ahead ? b.best : a.best;
  return {ahead ? a.best : b.best, beaten > second ? beaten : second, ahead ? a.id : b.id, ahead ? a.logit : b.logit};
}

/// The lead in a warp.
static __device__ __forceinline__ RaceLead warp_lead(const RaceLead& own) {
  const std::uint32_t best = __reduce_max_sync(kFullWarp, own.best);
  const int leader = __ffs(static_cast<int>(__ballot_sync(kFullWarp, own.best == best))) - 1;
  const bool leads = static_cast<int>(threadIdx.x) % 32 == leader;
  const std::uint32_t second = __reduce_max_sync(kFullWarp, leads ? own.second : own.best);
  return {best, second, __shfl_sync(kFullWarp, own.id, leader), __shfl_sync(kFullWarp, own.logit, leader)};
}

/// Whether floats tell the lead from the second.
static __device__ __forceinline__ bool is_sure(const RaceLead& lead, float slack) {
  return lead.best != 0 && lead.second < order_of(number_of(lead.best) - slack);
}

/// The logs of the exponential variates of the four words of a block, as log2_exponential has them. `place_of(q)` tells
/// where word q stands.
template <class PlaceOf>
static __device__ __forceinline__ float4 log2_exponentials(const RandomKey& key, const PhiloxBlock& words,
                                                           PlaceOf place_of) {
  float logs[4];
  bool rare = false;
#pragma unroll
  for (int q = 0; q < 4; ++q) {
    logs[q] = log2_exponential_of(words.word[q]);
    rare = rare || words.word[q] < kTailWord;
  }
  if (rare) {
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      if (words.word[q] < kTailWord) logs[q] = log2_tail(key, place_of(q), words.word[q]);
    }
  }
  return {logs[0], logs[1], logs[2], logs[3]};
}

/// The race at one temperature among the chunks of a row, and then among the tokens of the one that wins, by a team of
/// warps: a thread has four chunks, and then blocks of four tokens, whose noises share a call of the generator.
template <class T>
class RowRace {
 public:
  /// `t`: at which of the temperatures; `warps` of the CTA from `first_warp` on are the team.
  __device__ __forceinline__ RowRace(const DeviceRow<T>& row, const RaceRule& rule, int t, int first_warp, int warps,
                                     TailRoom& room)
      : row_(row),
        rule_(rule),
        t_(t),
        warps_(warps),
        warp_(static_cast<int>(threadIdx.x) / 32 - first_warp),
        member_(static_cast<int>(threadIdx.x) - 32 * first_warp),
        room_(room) {}

  __device__ __forceinline__ void run(const ChunkFacts* facts) {
    lead_chunks(facts);
    sync();
    const RaceLead chunk = join_all(room_.chunk[t_]);
    rule_.max = row_max();
    RaceLead token{0, 0, 0, 0.0f};
    if (chunk.best != 0 && is_finite(rule_.max)) {
      lead_tokens(chunk.id);
      sync();
      token = join_all(room_.token[t_]);
    }
    if (member_ == 0) settle(chunk, token);
  }

 private:
  __device__ __forceinline__ void sync() const {
    asm volatile("bar.sync %0, %1;" ::"r"(8 + t_), "r"(32 * warps_) : "memory");
  }

  // Scores are not relative to the row's maximum, which is not known yet. Noises are drawn while the facts are on their
  // way.
  __device__ __forceinline__ void lead_chunks(const ChunkFacts* facts) {
    const int first = 4 * member_;
    RaceLead lead{0, 0, 0, 0.0f};
    std::uint32_t most = 0;
    if (first < row_.chunks()) {
      float max[4];
      float mass[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        // Past the first-level cache: other multiprocessors wrote them.
        const ChunkFacts* source = facts + min(first + i, row_.chunks() - 1);
        max[i] = __ldcg(&source->max);
        mass[i] = __ldcg(t_ == 0 ? &source->high : &source->low);
      }
      const auto place_of = [&](int i) { return chunk_place(static_cast<std::uint32_t>(first + i)); };
      const NoisePlace place = place_of(0);
      const PhiloxBlock words = random_block(rule_.key, place.slot.block, place.stream);
      const float4 noise = log2_exponentials(rule_.key, words, place_of);
      const float logs[4] = {noise.x, noise.y, noise.z, noise.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float score = max[i] * rule_.scale + fast_log2(mass[i]) - logs[i];
        const bool takes_part = first + i < row_.chunks() && is_finite(max[i]);
        lead = join_leads(lead, {takes_part ? order_of(score) : 0, 0, first + i, 0.0f});
        const std::uint32_t order = order_of(max[i]);
        most = order > most ? order : most;
      }
    }
    lead = warp_lead(lead);
    most = __reduce_max_sync(kFullWarp, most);
    if (member_ % 32 != 0) return;
    room_.chunk[t_][warp_] = lead;
    room_.most[t_][warp_] = most;
  }

  __device__ __forceinline__ float row_max() const {
    std::uint32_t order = 0;
#pragma unroll
    for (int w = 0; w < kRaceWarps; ++w) {
      if (w < warps_ && room_.most[t_][w] > order) order = room_.most[t_][w];
    }
    return number_of(order);
  }

  __device__ __forceinline__ RaceLead join_all(const RaceLead* of_warps) const {
    RaceLead lead = of_warps[0];
#pragma unroll
    for (int w = 1; w < kRaceWarps; ++w) {
      if (w < warps_) lead = join_leads(lead, of_warps[w]);
    }
    return lead;
  }

  // All logits are asked for before any is waited for. Where the row has ended, its last logit stands in.
  __device__ __forceinline__ void lead_tokens(int chunk) {
    constexpr int kRounds = (2 * kChunkBlocks / kRaceWarps + 31) / 32;
    T x[kRounds][4];
    bool has[kRounds];
#pragma unroll
    for (int i = 0; i < kRounds; ++i) {
      has[i] = i * warps_ + warp_ < kChunkBlocks / 32;  // the warp
      if (!has[i]) continue;
#pragma unroll
      for (int q = 0; q < 4; ++q) x[i][q] = row_.data[min(id_of(chunk, i, q), row_.columns - 1)];
    }
    RaceLead lead{0, 0, 0, 0.0f};
#pragma unroll
    for (int i = 0; i < kRounds; ++i) {
      if (has[i]) lead = join_leads(lead, race_block(chunk, i, x[i]));
    }
    lead = warp_lead(lead);
    if (member_ % 32 == 0) room_.token[t_][warp_] = lead;
  }

  __device__ __forceinline__ int id_of(int chunk, int round, int q) const {
    return chunk * kChunk + q * kChunkBlocks + round * 32 * warps_ + member_;
  }

  __device__ __forceinline__ RaceLead race_block(int chunk, int round, const T (&x)[4]) const {
    const auto place_of = [&](int q) { return token_place(id_of(chunk, round, q)); };
    const PhiloxBlock words = random_block(rule_.key, place_of(0).slot.block);
    const float4 noise = log2_exponentials(rule_.key, words, place_of);
    const float logs[4] = {noise.x, noise.y, noise.z, noise.w};
    RaceLead lead{0, 0, 0, 0.0f};
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      const std::int32_t id = id_of(chunk, round, q);
      const float logit = device_float(x[q]);
      const float score = (logit - rule_.max) * rule_.scale - logs[q];
      const bool takes_part = id < row_.columns && is_finite(logit);
      lead = join_leads(lead, {takes_part ? order_of(score) : 0, 0, id, logit});
    }
    return lead;
  }

  __device__ __forceinline__ void settle(const RaceLead& chunk, const RaceLead& token) {
    // Scores of chunks are rounded where they are, not relative to the row's maximum, and overflow there.
    const float offset = float_from_bits(bits_of(rule_.max) & kFloatMagnitude) * rule_.scale;
    const float slack = score_slack(rule_);
    const bool sure = is_finite(offset) && is_sure(chunk, slack + offset * 0x1p-20f) && is_sure(token, slack);
    room_.unsure[t_] = sure ? 0 : 1;
    room_.early[t_] = token.id;
    room_.logit[t_] = token.logit;
  }

  const DeviceRow<T>& row_;
  RaceRule rule_;
  int t_;
  int warps_;
  int warp_;    // of the team
  int member_;  // thread of it
  TailRoom& room_;
};

/// By the first kRaceWarps warps: the races of a row, if `race` says so.
template <class T>
static __device__ __forceinline__ void run_races(const DeviceRow<T>& row, const RandomKey& key, const PassRule& scales,
                                                 const Temperatures& temperatures, const ChunkFacts* facts, bool race,
                                                 TailRoom& room) {
  const bool high = race && scales.scale_high > 0.0f;
  const bool low = race && scales.scale_low > 0.0f && temperatures.value[0] != temperatures.value[1];
  if (threadIdx.x == 0) {
    if (!high) room.unsure[0] = 1;
    if (!low) room.unsure[1] = 1;
  }
  if (!high && !low) return;
  const int warps = high && low ? kRaceWarps / 2 : kRaceWarps;
  const int t = !high || static_cast<int>(threadIdx.x) >= 32 * warps ? 1 : 0;
  const RaceRule rule{key, 0.0f, temperatures.at(t), t == 0 ? scales.scale_high : scales.scale_low, 0};
  RowRace<T>(row, rule, t, high && t == 1 ? warps : 0, warps, room).run(facts);
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
