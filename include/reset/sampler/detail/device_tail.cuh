/// @file
/// The end of a row, all latency: of the eight warps of its last CTA six already run the races for both temperatures,
/// while another and two of these, which have nothing to do at first, merge the statistics, and the last one lets the
/// policy decide.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/barrier.cuh>
#include <reset/sampler/detail/device_merge.cuh>
#include <reset/sampler/detail/device_pass.cuh>
#include <reset/sampler/detail/device_score.cuh>
#include <reset/sampler/detail/device_tail_room.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

static __device__ __forceinline__ RaceLead no_lead() { return {kNoScore, kNoScore, 0, kNoScore}; }

/// Of equal scores either leads: then floats cannot tell, and nothing comes of it.
static __device__ __forceinline__ RaceLead join_leads(const RaceLead& a, const RaceLead& b) {
  const bool ahead = a.best > b.best;
  return {fmaxf(a.best, b.best), fmaxf(fmaxf(a.second, b.second), fminf(a.best, b.best)), ahead ? a.id : b.id,
          ahead ? a.logit : b.logit};
}

/// The lead in a warp.
static __device__ __forceinline__ RaceLead warp_lead(const RaceLead& own) {
  const std::uint32_t order = order_of(own.best);
  const std::uint32_t best = __reduce_max_sync(kFullWarp, order);
  const int leader = __ffs(static_cast<int>(__ballot_sync(kFullWarp, order == best))) - 1;
  const bool leads = static_cast<int>(threadIdx.x) % 32 == leader;
  const std::uint32_t second = __reduce_max_sync(kFullWarp, leads ? order_of(own.second) : order);
  return {number_of(best), number_of(second), __shfl_sync(kFullWarp, own.id, leader),
          __shfl_sync(kFullWarp, own.logit, leader)};
}

/// Whether floats tell the lead from the second.
static __device__ __forceinline__ bool is_sure(const RaceLead& lead, float slack) {
  return lead.second < lead.best - slack;
}

/// Four scores and whose they are: of neighbouring chunks, or of the tokens of a block. A score lacks its noise until
/// `add_noise`.
struct RaceFour {
  float score[4];
  float logit[4];  // of chunks their maxima
  std::int32_t first;
  std::int32_t step;  // from one id to the next

  __device__ __forceinline__ void add_noise(const float4& noise) {
    score[0] += noise.x;
    score[1] += noise.y;
    score[2] += noise.z;
    score[3] += noise.w;
  }

  __device__ __forceinline__ RaceLead lead() const {
    RaceLead lead{score[0], kNoScore, first, logit[0]};
#pragma unroll
    for (int q = 1; q < 4; ++q) lead = join_leads(lead, {score[q], kNoScore, first + q * step, logit[q]});
    return lead;
  }
};

/// What the noises of the words of a block add to scores, in bits, but for words below kTailWord.
static __device__ __forceinline__ float4 noise_of(const PhiloxBlock& words) {
  return {-log2_exponential_of(words.word[0]), -log2_exponential_of(words.word[1]), -log2_exponential_of(words.word[2]),
          -log2_exponential_of(words.word[3])};
}
static __device__ __forceinline__ bool has_tail(const PhiloxBlock& words) {
  return min(min(words.word[0], words.word[1]), min(words.word[2], words.word[3])) < kTailWord;
}

/// Puts right what `noise_of` has for words below kTailWord. Out of line, for it is one block's in 2^14.
static __device__ __noinline__ float4 mend_noise(float4 noise, const RandomKey key, NoisePlace place,
                                                 const PhiloxBlock words) {
  place.slot.word = 0;
  if (words.word[0] < kTailWord) noise.x = -log2_tail(key, place, words.word[0]);
  place.slot.word = 1;
  if (words.word[1] < kTailWord) noise.y = -log2_tail(key, place, words.word[1]);
  place.slot.word = 2;
  if (words.word[2] < kTailWord) noise.z = -log2_tail(key, place, words.word[2]);
  place.slot.word = 3;
  if (words.word[3] < kTailWord) noise.w = -log2_tail(key, place, words.word[3]);
  return noise;
}

/// The race at one temperature among the chunks of a row, and then among the tokens of the one that wins, by a team of
/// warps: a thread has four chunks, and then blocks of four tokens, whose noises share a call of the generator. Nobody
/// else is there to hide a warp's latencies: what can be under way at once has no branch in between.
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
        member_(static_cast<int>(threadIdx.x) - 32 * first_warp),
        room_(room) {}

  __device__ __forceinline__ void run(const RowChunkFacts& facts) {
    if (member_ < 32 * kChunkWarps) lead_chunks(facts);
    barrier_wait(shared_address(&room_.chunks_ready[t_]), 0);
    const RaceLead chunk = join_leads(room_.chunk[t_][0], room_.chunk[t_][1]);
    rule_.max = max_or_nan(room_.most[t_][0], room_.most[t_][1]);
    const bool good = chunk.best > kNoScore && is_finite(rule_.max);
    if (good) lead_tokens(chunk.id);
    if (member_ != 0) return;
    if (good) barrier_wait(shared_address(&room_.tokens_ready[t_]), 0);
    settle(chunk, good ? join_tokens() : no_lead());
  }

 private:
  // Scores are not relative to the row's maximum, which is not known yet.
  __device__ __forceinline__ void lead_chunks(const RowChunkFacts& facts) {
    RaceFour four{{}, {}, 4 * member_, 1};
    ChunkHalf masses[4];
    facts.await(masses, [&](int i) { return load_half(facts.masses(4 * member_ + i)); });
    float most = kNoScore;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      four.logit[i] = 4 * member_ + i < facts.count ? masses[i].max : kNoScore;
      const float mass = t_ == 0 ? masses[i].first : masses[i].second;
      const float score = four.logit[i] * rule_.scale + fast_log2(mass);
      four.score[i] = is_finite(four.logit[i]) ? score : kNoScore;
      most = max_or_nan(most, four.logit[i]);
    }
    four.add_noise(room_.noise[member_]);
    const RaceLead lead = warp_lead(four.lead());
    most = number_of(__reduce_max_sync(kFullWarp, order_of(most)));
    if (member_ % 32 != 0) return;
    room_.chunk[t_][member_ / 32] = lead;
    room_.most[t_][member_ / 32] = most;
    barrier_arrive(shared_address(&room_.chunks_ready[t_]));
  }

  __device__ __forceinline__ RaceLead join_tokens() const {
    static_assert(kRaceWarps == 6, "the leads of two teams of three, or of one of six");
    const RaceLead(&leads)[kRaceWarps] = room_.token[t_];
    const RaceLead lead = join_leads(join_leads(leads[0], leads[1]), leads[2]);
    return warps_ == 3 ? lead : join_leads(join_leads(lead, leads[3]), join_leads(leads[4], leads[5]));
  }

  // A thread has a block or two of the chunk, by the size of its team, and some warps one more.
  __device__ __forceinline__ void lead_tokens(int chunk) {
    static_assert(3 * kRaceWarps / 2 >= kChunkBlocks / 32 && 2 * kRaceWarps >= kChunkBlocks / 32,
                  "all blocks are taken");
    RaceLead lead = warps_ < kRaceWarps ? lead_blocks<2>(chunk, 0) : lead_blocks<1>(chunk, 0);
    const int last = warps_ < kRaceWarps ? 2 : 1;
    if (block_of(last) - member_ % 32 < kChunkBlocks) lead = join_leads(lead, lead_blocks<1>(chunk, last));
    lead = warp_lead(lead);
    if (member_ % 32 != 0) return;
    room_.token[t_][member_ / 32] = lead;
    barrier_arrive(shared_address(&room_.tokens_ready[t_]));
  }

  // All logits are asked for before any is waited for, and the blocks are under way side by side.
  template <int kBlocks>
  __device__ __forceinline__ RaceLead lead_blocks(int chunk, int first) const {
    T logits[kBlocks][4];
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) load(chunk, first + i, logits[i]);
    PhiloxBlock words[kBlocks];
    float4 noise[kBlocks];
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
      words[i] = random_block(rule_.key, static_cast<std::uint32_t>(chunk * kChunkBlocks + block_of(first + i)));
      noise[i] = noise_of(words[i]);
    }
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
      const NoisePlace place = token_place(chunk * kChunk + block_of(first + i));
      if (has_tail(words[i])) noise[i] = mend_noise(noise[i], rule_.key, place, words[i]);
    }
    RaceLead lead = no_lead();
#pragma unroll
    for (int i = 0; i < kBlocks; ++i) {
      RaceFour four = score(chunk, first + i, logits[i]);
      four.add_noise(noise[i]);
      lead = join_leads(lead, four.lead());
    }
    return lead;
  }

  // The thread's i-th block, which may be none of the chunk.
  __device__ __forceinline__ int block_of(int i) const { return member_ + i * 32 * warps_; }

  // As they are stored. Where the row has ended, its last logit stands in.
  __device__ __forceinline__ void load(int chunk, int i, T (&logits)[4]) const {
    const T* source = row_.data + chunk * kChunk;
    const int last = row_.columns - 1 - chunk * kChunk;
#pragma unroll
    for (int q = 0; q < 4; ++q) logits[q] = source[min(block_of(i) + q * kChunkBlocks, last)];
  }

  __device__ __forceinline__ RaceFour score(int chunk, int i, const T (&logits)[4]) const {
    RaceFour four{{}, {}, chunk * kChunk + block_of(i), kChunkBlocks};
    const int left = row_.columns - four.first;
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      four.logit[q] = device_float(logits[q]);
      four.score[q] = q * kChunkBlocks < left ? (four.logit[q] - rule_.max) * rule_.scale : kNoScore;
    }
    return four;
  }

  __device__ __forceinline__ void settle(const RaceLead& chunk, const RaceLead& token) {
    // Scores of chunks are rounded where they are, not relative to the row's maximum, and overflow there.
    const float offset = float_from_bits(bits_of(rule_.max) & kFloatMagnitude) * rule_.scale;
    const float slack = score_slack_bits(rule_);
    const bool sure = is_finite(offset) && is_sure(chunk, slack + offset * 0x1p-20f) && is_sure(token, slack);
    settle_race(room_, t_, {sure ? token.id : -1, token.logit, 0, 0});
  }

  const DeviceRow<T>& row_;
  RaceRule rule_;
  int t_;
  int warps_;   // of the team
  int member_;  // thread of it
  TailRoom& room_;
};

/// Who races in the end of a row, and at which of the temperatures.
struct RaceTeams {
  bool high;  // whether there is a race at T_high, and
  bool low;   // at a T_low of its own

  __device__ __forceinline__ RaceTeams(const PassRule& scales, const Temperatures& t, bool race)
      : high(race && scales.scale_high > 0.0f), low(race && scales.scale_low > 0.0f && t.value[0] != t.value[1]) {}

  __device__ __forceinline__ int warps() const { return high && low ? kRaceWarps / 2 : kRaceWarps; }
  /// Of the thread's team.
  __device__ __forceinline__ int temperature() const {
    return !high || static_cast<int>(threadIdx.x) >= 32 * warps() ? 1 : 0;
  }
  __device__ __forceinline__ int first_warp() const { return high && temperature() == 1 ? warps() : 0; }
};

/// By 64 threads, of which this is the `self`-th: the noises of all chunks, which depend on nothing that the row's
/// other CTAs have to say.
static __device__ __forceinline__ void draw_chunk_noises(const RandomKey& key, int self, TailRoom& room) {
  const NoisePlace place = chunk_place(static_cast<std::uint32_t>(4 * self));
  const PhiloxBlock words = random_block(key, place.slot.block, place.stream);
  const float4 noise = noise_of(words);
  room.noise[self] = has_tail(words) ? mend_noise(noise, key, place, words) : noise;
}

/// Out of line: where registers are short, the compiler asks for one logit after the other.
template <class T>
static __device__ __noinline__ void run_race(const DeviceRow<T> row, const RaceRule rule, const RowChunkFacts facts,
                                             const RaceTeams teams, TailRoom& room) {
  RowRace<T>(row, rule, teams.temperature(), teams.first_warp(), teams.warps(), room).run(facts);
}

/// By the first kRaceWarps warps: the races of a row.
template <class T>
static __device__ __forceinline__ void run_races(const DeviceRow<T>& row, const RandomKey& key, const PassRule& scales,
                                                 const Temperatures& temperatures, const RowChunkFacts& facts,
                                                 const RaceTeams& teams, TailRoom& room) {
  if (threadIdx.x == 0) {
    if (!teams.high) settle_nothing(room, 0);
    if (!teams.low) settle_nothing(room, 1);
  }
  if (!teams.high && !teams.low) return;
  const int t = teams.temperature();
  const RaceRule rule{key, 0.0f, temperatures.at(t), t == 0 ? scales.scale_high : scales.scale_low, 0};
  run_race(row, rule, facts, teams, room);
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
