/// @file
/// Truncation in the end of a row while its temperature is still being decided: which tokens are the best depends on
/// none, so that the warps that have no whole row to race for list them, and two of these draw at either temperature.
/// What does not fit them is left to `draw_token`.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/barrier.cuh>
#include <reset/sampler/detail/candidate.hpp>
#include <reset/sampler/detail/device_draw.cuh>
#include <reset/sampler/detail/device_merge.cuh>
#include <reset/sampler/detail/device_pass.cuh>
#include <reset/sampler/detail/device_race.cuh>
#include <reset/sampler/detail/device_select.cuh>
#include <reset/sampler/detail/device_tail_room.cuh>
#include <reset/sampler/sampler_types.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// What a request keeps of a row at one temperature, in so far as a list can tell: which tokens are the best.
struct KeepRule {
  std::int32_t wanted;  // so many of the best tokens at most; 0: no list
  bool by_count;        // and no others count
  float top_p;
  float min_p;

  /// Whether tokens are kept by their share of the row's mass.
  __device__ __forceinline__ bool by_share() const { return top_p < 1.0f && !by_count; }
};

/// Lists are for small top-k; for top-p and min-p in the hope that they keep no more tokens than a warp can draw from.
static __device__ __forceinline__ KeepRule keep_rule(const SamplingParams& sampling, const Temperatures& t,
                                                     int columns) {
  const bool by_count = cuts_by_count(sampling, columns);
  const bool draws = t.value[0] > kArgmaxTemperature || t.value[1] > kArgmaxTemperature;
  const bool fits = by_count ? sampling.top_k <= kMostKept : truncates(sampling, columns);
  const std::int32_t wanted = draws && fits ? (by_count ? sampling.top_k : kMostKept) : 0;
  return {wanted, by_count, sampling.top_p, sampling.min_p};
}

/// The lanes below this one.
static __device__ __forceinline__ std::uint32_t lanes_below() { return (1u << threadIdx.x % 32) - 1; }

/// The maxima of a row's chunks as a warp holds them: lane l has chunks l, l + 32, ..., in the order of floats.
struct ChunkMaxima {
  static constexpr int kEach = kSamplerThreads / 32;
  std::uint32_t order[kEach];

  __device__ __forceinline__ static int chunk(int i) { return static_cast<int>(threadIdx.x) % 32 + 32 * i; }

  /// Chunks that the row does not have are below all others.
  __device__ __forceinline__ void load(const RowChunkFacts& facts) {
    ChunkMax maxima[kEach];
    facts.await(maxima, [&](int i) { return load_max(facts.sums(chunk(i))); });
#pragma unroll
    for (int i = 0; i < kEach; ++i) order[i] = chunk(i) < facts.count ? order_of(maxima[i].max) : 0;
  }

  /// That of the row; NaN if any is.
  __device__ __forceinline__ float all() const {
    std::uint32_t most = order[0];
#pragma unroll
    for (int i = 1; i < kEach; ++i) most = ::max(most, order[i]);
    return number_of(__reduce_max_sync(kFullWarp, most));
  }

  /// What at least `least` chunks reach, and no more than `most` but for equal ones; not finite where fewer chunks hold
  /// anything finite. `max`: that of the row. Three guesses a turn.
  __device__ __forceinline__ std::uint32_t find(std::uint32_t least, std::uint32_t most, float max) const {
    std::uint32_t low = order_of(float_from_bits(0xff800000u));
    std::uint32_t high = order_of(max) + 1;  // nothing reaches it
    std::uint32_t guess[3] = {order_of(max - 12.0f), order_of(max - 6.0f), order_of(max - 3.0f)};
    while (true) {
      std::uint32_t counts = 0;  // of up to 256, ten bits each
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
#pragma unroll
        for (int g = 0; g < 3; ++g) counts += order[i] >= guess[g] ? 1u << 10 * g : 0u;
      }
      counts = __reduce_add_sync(kFullWarp, counts);
#pragma unroll
      for (int g = 0; g < 3; ++g) {
        const std::uint32_t count = counts >> 10 * g & 1023u;
        if (count >= least && count <= most) return guess[g];
        low = count > most ? ::max(low, guess[g]) : low;
        high = count < least ? ::min(high, guess[g]) : high;
      }
      if (high - low <= 1) return low;
      const std::uint32_t step = (high - low + 3) / 4;
#pragma unroll
      for (std::uint32_t g = 0; g < 3; ++g) guess[g] = ::min(low + (g + 1) * step, high - 1);
    }
  }
};

/// By one warp: finds a logit that as many tokens reach as are wanted, or more, and the chunks that hold them.
static __device__ __forceinline__ void list_chunks(const RowChunkFacts& facts, const KeepRule& keep, BestRoom& best) {
  // As many as are read at once do no harm where fewer are wanted: finding the last of them does.
  constexpr std::uint32_t kAtOnce = kRaceWarps * kChunksAtOnce;
  ChunkMaxima maxima;
  maxima.load(facts);
  const float max = maxima.all();
  const std::uint32_t least = keep.by_count ? static_cast<std::uint32_t>(keep.wanted) : kAtOnce * 2 / 3;
  const std::uint32_t most = (least + kAtOnce - 1) / kAtOnce * kAtOnce;
  const std::uint32_t threshold = is_finite(max) ? maxima.find(least, most, max) : 0;
  int count = 0;
#pragma unroll
  for (int i = 0; i < ChunkMaxima::kEach; ++i) {
    const bool reaches = maxima.order[i] >= threshold;
    const std::uint32_t reach = __ballot_sync(kFullWarp, reaches);
    if (reaches) best.chunk[count + __popc(reach & lanes_below())] = ChunkMaxima::chunk(i);
    count += __popc(reach);
  }
  if (threadIdx.x % 32 != 0) return;
  best.chunks = count;
  best.threshold = threshold;
}

/// By a warp: of its part of the chunks the runs of tokens, each a lane's of a ChunkReader, of which some reach the
/// threshold, into `runs`: the first id of each. How many there are, of which no more than kMostRuns are told.
template <class T>
static __device__ __forceinline__ int list_runs(const DeviceRow<T>& row, int warp, const BestRoom& best,
                                                std::int32_t* runs) {
  constexpr int kAtOnce = sizeof(T) == 4 ? kChunksAtOnce / 2 : kChunksAtOnce;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int last = best.chunks - 1;
  int found = 0;
#pragma unroll 1
  for (int first = warp; first <= last; first += kRaceWarps * kAtOnce) {
    ChunkReader<T, 1> readers[kAtOnce];
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) readers[n].load(row, best.chunk[min(first + n * kRaceWarps, last)], lane);
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
      const int i = first + n * kRaceWarps;
      const bool reaches = i <= last && order_of(readers[n].max()) >= best.threshold;
      const std::uint32_t reach = __ballot_sync(kFullWarp, reaches);
      const int place = found + __popc(reach & lanes_below());
      if (reaches && place < kMostRuns) runs[place] = best.chunk[i] * kChunk + lane * ChunkReader<T, 1>::kBlocks;
      found += __popc(reach);
    }
    if (found > kMostRuns) break;
  }
  __syncwarp();
  return found;
}

/// By a warp: lists the tokens of its runs that reach the threshold, in no order. They are read once more, a lane each.
template <class T>
static __device__ __forceinline__ void list_tokens(const DeviceRow<T>& row, const std::int32_t* runs, int count,
                                                   BestRoom& best) {
  constexpr int kAtOnce = 4;
  constexpr int kBlocks = ChunkReader<T, 1>::kBlocks;
  static_assert(4 * kBlocks == 32, "a run's tokens are 32");
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int own = lane / kBlocks * kChunkBlocks + lane % kBlocks;
#pragma unroll 1
  for (int first = 0; first < count; first += kAtOnce) {
    std::int32_t id[kAtOnce];
    float x[kAtOnce];
    std::uint32_t reach[kAtOnce];
    int hits = 0;
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) id[n] = runs[min(first + n, count - 1)] + own;
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) x[n] = load_logit(row, id[n]);
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
      reach[n] = __ballot_sync(kFullWarp, first + n < count && order_of(x[n]) >= best.threshold);
      hits += __popc(reach[n]);
    }
    int place = 0;
    if (lane == 0) place = atomicAdd(&best.listed, hits);
    place = __shfl_sync(kFullWarp, place, 0);
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
      const int at = place + __popc(reach[n] & lanes_below());
      if ((reach[n] >> lane & 1) != 0 && at < kMostListed) best.key[at] = candidate_key(x[n], id[n]);
      place += __popc(reach[n]);
    }
  }
}

/// By one thread, before a barrier of the CTA.
static __device__ __forceinline__ void init_list(BestRoom& best) {
  if (kForRacecheck) barrier_init(shared_address(&best.step_ready), 32 * kRaceWarps);
  best.listed = 0;
}

/// By each of the warps that list, for the row's `step`-th time: waits for the others. Not by `step_ready` unless
/// racecheck wants it, for that takes a fiftieth of a row's time more.
static __device__ __forceinline__ void list_sync(BestRoom& best, std::uint32_t step) {
  if (kForRacecheck) {
    barrier_arrive(shared_address(&best.step_ready));
    barrier_wait(shared_address(&best.step_ready), step % 2);
  } else {
    asm volatile("bar.sync 1, %0;" ::"n"(32 * kRaceWarps) : "memory");
  }
}

/// By the warps that list: the best tokens of the row, those kept in order, with their random words. Where they cannot
/// be listed, `listed` is more than kMostListed.
template <class T>
static __device__ __noinline__ void list_best(const DeviceRow<T> row, const RowChunkFacts facts, const KeepRule keep,
                                              const RandomKey random, BestRoom& best) {
  const auto self = static_cast<int>(threadIdx.x);
  const int warp = self / 32;
  if (warp == 0) list_chunks(facts, keep, best);
  list_sync(best, 0);
  const int runs = is_finite(number_of(best.threshold)) ? list_runs(row, warp, best, best.run[warp]) : kMostRuns + 1;
  if (runs <= kMostRuns) {
    list_tokens(row, best.run[warp], runs, best);
  } else if (self % 32 == 0) {
    atomicAdd(&best.listed, kMostListed + 1);
  }
  list_sync(best, 1);
  const int listed = best.listed;
  if (listed <= kMostListed && self < listed) {
    const std::uint64_t key = best.key[self];
    const RandomSlot slot = random_slot(candidate_id(key));
    const std::uint32_t word = word_of(random_block(random, slot.block), slot.word);
    int above = 0;
#pragma unroll 4
    for (int i = 0; i < listed; ++i) above += best.key[i] > key ? 1 : 0;
    if (above < kMostKept) {
      best.kept[above] = key;
      best.word[above] = word;
    }
  }
  list_sync(best, 2);
}

/// By a warp: the mass of a row at one of the temperatures, in units of 2^-40. It is added up in another order than
/// `draw_token` has.
static __device__ __noinline__ double row_mass(const RowChunkFacts facts, int t, float scale) {
  constexpr int kEach = ChunkMaxima::kEach;
  ChunkHalf masses[kEach];
  facts.await(masses, [&](int i) { return load_half(facts.masses(ChunkMaxima::chunk(i))); });
  float max = masses[0].max;
#pragma unroll
  for (int i = 1; i < kEach; ++i) max = max_or_nan(max, masses[i].max);
  max = number_of(__reduce_max_sync(kFullWarp, order_of(max)));
  double own = 0.0;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const bool counts = ChunkMaxima::chunk(i) < facts.count && is_finite(masses[i].max);
    const float factor = fast_exp2((masses[i].max - max) * scale);
    const float mass = t == 0 ? masses[i].first : masses[i].second;
    own = add_rn(own, counts ? mul_rn(static_cast<double>(factor), static_cast<double>(mass)) : 0.0);
  }
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) own = add_rn(own, shuffle_xor(own, distance));
  return 0x1p40 * own;
}

/// The race at one temperature among the tokens that truncation leaves of a list, by one warp.
class ListRace {
 public:
  __device__ __forceinline__ ListRace(const RaceRule& rule, const KeepRule& keep, int t, const BestRoom& best,
                                      TailRoom& room)
      : rule_(rule), keep_(keep), t_(t), best_(best), room_(room) {}

  __device__ __forceinline__ void run() {
    if (best_.listed > kMostListed) {
      if (lane_ == 0) settle_nothing(room_, t_);
      return;
    }
    const int listed = min(best_.listed, keep_.wanted);
    static_assert(kMostKept == 64, "one token a lane, or two");
    listed <= 32 ? draw<1>(listed) : draw<2>(listed);
  }

 private:
  /// Where in the list the lane's r-th token is.
  __device__ __forceinline__ int place(int r) const { return lane_ + 32 * r; }

  /// Lanes have kEach tokens each.
  template <int kEach>
  __device__ __forceinline__ void draw(int listed) {
    std::uint64_t key[kEach];
#pragma unroll
    for (int r = 0; r < kEach; ++r) key[r] = place(r) < listed ? best_.kept[place(r)] : 0;
    rule_.max = candidate_logit(__shfl_sync(kFullWarp, key[0], 0));
    bool sure = true;
    const int count = count_kept(key, listed, keep_.by_share() ? best_.total[t_] : -1.0, sure);
    float score[kEach];
    std::uint32_t order = 0;
    bool tail = false;
#pragma unroll
    for (int r = 0; r < kEach; ++r) {
      const bool competes = place(r) < count;
      const std::uint32_t word = competes ? best_.word[place(r)] : kTailWord;
      tail = tail || word < kTailWord;
      score[r] = (candidate_logit(key[r]) - rule_.max) * rule_.scale - log2_exponential_of(word);
      order = competes ? max(order, order_of(score[r])) : order;
    }
    sure = sure && !__any_sync(kFullWarp, tail);
    const float near = number_of(__reduce_max_sync(kFullWarp, order)) - score_slack(rule_);
    std::uint64_t winner = 0;
    int rivals = 0;
#pragma unroll
    for (int r = 0; r < kEach; ++r) {
      const std::uint32_t close = __ballot_sync(kFullWarp, place(r) < count && score[r] >= near);
      const std::uint64_t one = __shfl_sync(kFullWarp, key[r], __ffs(static_cast<int>(close)) - 1);
      winner = close != 0 ? one : winner;
      rivals += __popc(close);
    }
    if (lane_ != 0) return;
    settle_race(room_, t_, sure && rivals == 1, candidate_id(winner), candidate_logit(winner));
  }

  /// How many of the `listed` tokens, the lanes' keys, are left; not `sure` where others may be left besides. `total`:
  /// what the share is of, negative for the listed tokens.
  template <int kEach>
  __device__ __forceinline__ int count_kept(const std::uint64_t (&key)[kEach], int listed, double total,
                                            bool& sure) const {
    int count = listed;
    if (keep_.top_p < 1.0f) {
      std::uint64_t mass[kEach];
#pragma unroll
      for (int r = 0; r < kEach; ++r) {
        mass[r] = sum_up_to(place(r) < listed ? token_mass(candidate_logit(key[r]), {rule_.max, rule_.scale}) : 0);
      }
#pragma unroll
      for (int r = 1; r < kEach; ++r) mass[r] += __shfl_sync(kFullWarp, mass[r - 1], 31);
      const double all = total < 0.0 ? static_cast<double>(__shfl_sync(kFullWarp, mass[kEach - 1], 31)) : total;
      const double need = static_cast<double>(keep_.top_p) * all;
      sure = false;
#pragma unroll
      for (int r = kEach - 1; r >= 0; --r) {
        const auto here = static_cast<double>(mass[r]);
        const std::uint32_t reach = __ballot_sync(kFullWarp, place(r) < listed && here >= need);
        count = reach != 0 ? 32 * r + __ffs(static_cast<int>(reach)) : count;
        sure = sure || reach != 0;
      }
      // A total that was added up in another order must not decide.
      bool close = false;
#pragma unroll
      for (int r = 0; r < kEach; ++r) close = close || fabs(static_cast<double>(mass[r]) - need) < 1e-9 * all;
      sure = sure && !(total >= 0.0 && __any_sync(kFullWarp, close));
    }
    if (keep_.min_p > 0.0f) {
      const double nearest = min_p_distance(keep_.min_p, rule_.temperature);
      int left = 0;
#pragma unroll
      for (int r = 0; r < kEach; ++r) {
        const double distance = add_rn(widen(candidate_logit(key[r])), -widen(rule_.max));
        left += __popc(__ballot_sync(kFullWarp, place(r) < count && distance >= nearest));
      }
      const bool alone = keep_.top_p >= 1.0f && !keep_.by_count;
      sure = sure && !(alone && left == count);
      count = left;
    }
    return count;
  }

  /// The sum over the lanes up to this one.
  __device__ __forceinline__ std::uint64_t sum_up_to(std::uint64_t sum) const {
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
      const std::uint64_t before = __shfl_up_sync(kFullWarp, sum, static_cast<unsigned>(distance));
      if (lane_ >= distance) sum += before;
    }
    return sum;
  }

  RaceRule rule_;
  const KeepRule& keep_;
  int t_;
  int lane_ = static_cast<int>(threadIdx.x) % 32;
  const BestRoom& best_;
  TailRoom& room_;
};

static __device__ __noinline__ void race_listed(const RaceRule rule, const KeepRule keep, int t, const BestRoom& best,
                                                TailRoom& room) {
  ListRace(rule, keep, t, best, room).run();
}

/// By the first kRaceWarps warps: lists the best tokens of a row, and draws from them.
template <class T>
static __device__ __forceinline__ void run_list(const DeviceRow<T>& row, const RandomKey& key, const PassRule& scales,
                                                const Temperatures& temperatures, const KeepRule& keep,
                                                const RowChunkFacts& facts, BestRoom& best, TailRoom& room) {
  constexpr int kHalf = kRaceWarps / 2;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int t = warp / kHalf;  // a temperature for either half of them
  const float scale = t == 0 ? scales.scale_high : scales.scale_low;
  // The first warp looks for chunks meanwhile.
  if (keep.by_share() && warp % kHalf == 1) best.total[t] = row_mass(facts, t, scale);
  list_best(row, facts, keep, key, best);
  if (warp % kHalf != 0) return;
  if (scale > 0.0f && (t == 0 || temperatures.value[0] != temperatures.value[1])) {
    race_listed({key, 0.0f, temperatures.at(t), scale, 0}, keep, t, best, room);
  } else if (threadIdx.x % 32 == 0) {
    settle_nothing(room, t);
  }
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
