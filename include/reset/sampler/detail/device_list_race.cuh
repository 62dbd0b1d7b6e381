/// @file
/// Truncation in the end of a row while its temperature is still being decided: the warps that have no whole row to
/// race for list its best tokens, and two of these draw from the list, at either temperature. What does not fit them is
/// left to `draw_token`.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/sampler/detail/candidate.hpp>
#include <reset/sampler/detail/device_facts.cuh>
#include <reset/sampler/detail/device_list.cuh>
#include <reset/sampler/detail/device_mass.cuh>
#include <reset/sampler/detail/device_pass.cuh>
#include <reset/sampler/detail/device_score.cuh>
#include <reset/sampler/detail/device_tail_room.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

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

  /// Returns how many tokens truncation leaves, 0 where the list does not tell.
  __device__ __forceinline__ int run() {
    if (best_.listed > kMostListed) {
      if (lane_ == 0) settle_nothing(room_, t_);
      return 0;
    }
    const int listed = min(best_.listed, keep_.wanted);
    static_assert(kMostKept == 64, "one token a lane, or two");
    return listed <= 32 ? draw<1>(listed) : draw<2>(listed);
  }

 private:
  /// Where in the list the lane's r-th token is.
  __device__ __forceinline__ int place(int r) const { return lane_ + 32 * r; }

  /// Lanes have kEach tokens each.
  template <int kEach>
  __device__ __forceinline__ int draw(int listed) {
    std::uint64_t key[kEach];
#pragma unroll
    for (int r = 0; r < kEach; ++r) key[r] = place(r) < listed ? best_.kept[place(r)] : 0;
    rule_.max = candidate_logit(__shfl_sync(kFullWarp, key[0], 0));
    bool sure = true;
    const int count = count_kept(key, listed, keep_.by_share() ? best_.total[t_] : -1.0, sure);
    const int told = sure ? count : 0;
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
    const float near = number_of(__reduce_max_sync(kFullWarp, order)) - score_slack_bits(rule_);
    std::uint64_t winner = 0;
    int rivals = 0;
#pragma unroll
    for (int r = 0; r < kEach; ++r) {
      const std::uint32_t close = __ballot_sync(kFullWarp, place(r) < count && score[r] >= near);
      const std::uint64_t one = __shfl_sync(kFullWarp, key[r], __ffs(static_cast<int>(close)) - 1);
      winner = close != 0 ? one : winner;
      rivals += __popc(close);
    }
    if (lane_ == 0) {
      settle_race(room_, t_, {sure && rivals == 1 ? candidate_id(winner) : -1, candidate_logit(winner), 0, 0});
    }
    return told;
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

static __device__ __noinline__ int race_listed(const RaceRule rule, const KeepRule keep, int t, const BestRoom& best,
                                               TailRoom& room) {
  return ListRace(rule, keep, t, best, room).run();
}

/// By a warp: the cut and the mass of the `count` best tokens, which are kept, if there are any.
static __device__ __noinline__ void weigh_listed(int count, float scale, const BestRoom& best, EarlyToken& early) {
  if (count == 0) return;
  const float max = candidate_logit(best.kept[0]);
  std::uint64_t mass = 0;
  for (int i = static_cast<int>(threadIdx.x) % 32; i < count; i += 32) {
    mass += token_mass(candidate_logit(best.kept[i]), {max, scale});
  }
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) mass += shuffle_xor(mass, distance);
  if (threadIdx.x % 32 != 0) return;
  early.cut = best.kept[count - 1];
  early.mass = mass;
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
    const int count = race_listed({key, 0.0f, temperatures.at(t), scale, 0}, keep, t, best, room);
    if (keep.judges) weigh_listed(count, scale, best, room.early[t]);
  } else if (threadIdx.x % 32 == 0) {
    settle_nothing(room, t);
  }
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
