/// @file
/// Exact top-k, top-p and min-p by a whole CTA: tokens above a threshold that is known to suffice are gathered from the
/// chunks that hold any, and sorted. Where they are too many for the list, `device_select.cuh` cuts the row in place.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_race.cuh>
#include <reset/sampler/detail/device_select.cuh>
#include <reset/sampler/detail/device_statistics.cuh>
#include <reset/sampler/detail/device_walk.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// What of a row's tokens is kept.
struct KeptTokens {
  std::int32_t count;  // listed in order of preference; 0: not listed, all whose key is at least `cut`
  std::uint64_t cut;
};

/// Lists the tokens whose logit is finite and at least `threshold`, in any order; returns their number, of which no
/// more than kListLength are listed.
template <class T>
static __device__ __noinline__ std::int32_t gather_tokens(const DeviceRow<T> row, const ChunkRoom& chunks,
                                                          float threshold, ListRoom& list) {
  const int self = static_cast<int>(threadIdx.x);
  __syncthreads();
  if (self == 0) list.listed = list.chunks = 0;
  __syncthreads();
  if (self < row.chunks() && chunks.max[self] >= threshold && is_finite(chunks.max[self])) {
    list.chunk[atomicAdd(&list.chunks, 1)] = self;
  }
  __syncthreads();
  const int lane = self % 32;
#pragma unroll 1
  for (int i = self / 32; i < list.chunks; i += kSamplerWarps) {
    // A list that has overflowed is of no use: all of a flat row's tokens would queue up for their places.
    if (__any_sync(kFullWarp, *static_cast<volatile std::int32_t*>(&list.listed) > kListLength)) break;
    for_each_in_chunk(row, list.chunk[i], [&](float x, std::int32_t id) {
      const bool listed = x >= threshold && is_finite(x);
      const std::uint32_t all = __ballot_sync(kFullWarp, listed);
      if (all == 0) return;
      std::int32_t at = lane == 0 ? atomicAdd(&list.listed, __popc(all)) : 0;
      at = __shfl_sync(kFullWarp, at, 0) + __popc(all & lanes_below());
      if (listed && at < kListLength) list.key[at] = candidate_key(x, id);
    });
  }
  __syncthreads();
  return list.listed;
}

/// Sorts the first `count` keys, the highest first.
static __device__ void sort_keys(std::int32_t count, ListRoom& list) {
  const int self = static_cast<int>(threadIdx.x);
  if (count <= kSamplerThreads) {
    const std::uint64_t own = self < count ? list.key[self] : 0;
    std::int32_t place = 0;
#pragma unroll 4
    for (std::int32_t i = 0; i < count; ++i) place += list.key[i] > own ? 1 : 0;
    __syncthreads();
    if (self < count) list.key[place] = own;
    __syncthreads();
    return;
  }
  // Bitonic, filled up with keys that come last.
  std::int32_t size = 2 * kSamplerThreads;
  while (size < count) size *= 2;
  for (std::int32_t i = count + self; i < size; i += kSamplerThreads) list.key[i] = 0;
  __syncthreads();
  for (std::int32_t span = 2; span <= size; span *= 2) {
    for (std::int32_t distance = span / 2; distance > 0; distance /= 2) {
      for (std::int32_t i = self; i < size / 2; i += kSamplerThreads) {
        const std::int32_t a = 2 * i - (i & (distance - 1));
        const std::int32_t b = a + distance;
        const bool descending = (a & span) == 0;
        const std::uint64_t first = list.key[a];
        const std::uint64_t second = list.key[b];
        if ((first < second) == descending) {
          list.key[a] = second;
          list.key[b] = first;
        }
      }
      __syncthreads();
    }
  }
}

/// The lowest of the `wanted` highest maxima of chunks, of which there are as many: at least so many logits are not
/// below it.
static __device__ float wanted_threshold(std::int32_t wanted, int chunks, const ChunkRoom& room,
                                         ReductionRoom& reduction) {
  const int self = static_cast<int>(threadIdx.x);
  const float own = room.max[self];
  std::int32_t above = 0;
  if (self < chunks) {
    // In fours; chunks that the row does not have are -inf.
    const float4* fours = reinterpret_cast<const float4*>(room.max);
#pragma unroll 4
    for (int i = 0; i < (chunks + 3) / 4; ++i) {
      const float4 four = fours[i];
      above += (four.x > own ? 1 : 0) + (four.y > own ? 1 : 0) + (four.z > own ? 1 : 0) + (four.w > own ? 1 : 0);
    }
  }
  const std::uint32_t order = self < chunks && above < wanted ? order_of(own) : 0xffffffffu;
  return number_of(block_reduce(
      order, [](std::uint32_t a, std::uint32_t b) { return a < b ? a : b; }, reduction));
}

/// Lists at least the `wanted` best tokens (or all there are); their number, or more than kListLength where nothing
/// suggests how far down they reach.
template <class T>
static __device__ std::int32_t gather_count(const DeviceRow<T>& row, std::int32_t wanted, const ChunkRoom& chunks,
                                            ListRoom& list, ReductionRoom& room) {
  const float all = float_from_bits(0xff800000u);
  if (row.columns <= kListLength) return gather_tokens(row, chunks, all, list);
  if (wanted > row.chunks()) return kListLength + 1;
  const float threshold = wanted_threshold(wanted, row.chunks(), chunks, room);
  return gather_tokens(row, chunks, is_finite(threshold) ? threshold : all, list);
}

/// The mass of the first `count` keys.
static __device__ std::uint64_t list_mass(std::int32_t count, const MassScale& scale, const ListRoom& list,
                                          ReductionRoom& room) {
  std::uint64_t mass = 0;
  for (std::int32_t i = static_cast<int>(threadIdx.x); i < count; i += kSamplerThreads) {
    mass += token_mass(candidate_logit(list.key[i]), scale);
  }
  return block_sum(mass, room);
}

/// Lists tokens whose mass reaches `need`, further and further below the maximum; their number, or more than
/// kListLength.
template <class T>
static __device__ std::int32_t gather_mass(const DeviceRow<T>& row, double need, const MassScale& scale,
                                           const ChunkRoom& chunks, ListRoom& list, ReductionRoom& room) {
  for (float bits = 4.0f; bits < 200.0f; bits *= 2.0f) {
    const std::int32_t found = gather_tokens(row, chunks, scale.max - bits / scale.per_nat, list);
    if (found > kListLength) return found;
    if (static_cast<double>(list_mass(found, scale, list, room)) >= need) return found;
  }
  return gather_tokens(row, chunks, float_from_bits(0xff800000u), list);
}

/// How many of the `count` sorted keys top-p keeps: the shortest run whose mass reaches p of `total`, or of their own
/// where `total` is negative.
static __device__ std::int32_t count_mass(std::int32_t count, float top_p, double total, const MassScale& scale,
                                          const ListRoom& list, ReductionRoom& room) {
  const int self = static_cast<int>(threadIdx.x);
  const std::int32_t share = (count + kSamplerThreads - 1) / kSamplerThreads;
  const std::int32_t begin = self * share < count ? self * share : count;
  const std::int32_t end = begin + share < count ? begin + share : count;
  std::uint64_t own = 0;
  for (std::int32_t i = begin; i < end; ++i) own += token_mass(candidate_logit(list.key[i]), scale);
  const Scan scan = block_scan(own, room);
  const double need = static_cast<double>(top_p) * (total < 0.0 ? static_cast<double>(scan.total) : total);
  std::int32_t crossing = count - 1;
  std::uint64_t mass = scan.before;
  for (std::int32_t i = begin; i < end; ++i) {
    mass += token_mass(candidate_logit(list.key[i]), scale);
    if (static_cast<double>(mass) >= need) {
      crossing = i;
      break;
    }
  }
  return 1 + block_reduce(
                 crossing, [](std::int32_t a, std::int32_t b) { return a < b ? a : b; }, room);
}

/// How many of the `count` sorted keys are not further than `distance` (not positive) from the maximum.
static __device__ std::int32_t count_near(std::int32_t count, double distance, float max, const ListRoom& list,
                                          ReductionRoom& room) {
  std::int32_t near = 0;
  for (std::int32_t i = static_cast<int>(threadIdx.x); i < count; i += kSamplerThreads) {
    near += add_rn(widen(candidate_logit(list.key[i])), -widen(max)) >= distance ? 1 : 0;
  }
  return block_sum(near, room);
}

/// How the row is truncated whose facts and temperature are in the room; `total` is its mass. Asked for where it is
/// needed: kept across calls it would be spilled.
template <class Room>
static __device__ __forceinline__ SelectRule select_rule(int columns, double total, Room& room) {
  const SamplingParams& sampling = room.slot().request.sampling;
  const float temperature = room.result().policy.temperature;
  const double nearest = sampling.min_p > 0.0f ? min_p_distance(sampling.min_p, temperature) : 0.0;
  const MassScale scale{room.tail.facts.max, kLog2EFloat / temperature};
  return {sampling, cuts_by_count(sampling, columns), sampling.top_p < 1.0f, total, nearest, scale};
}

/// Where more tokens are listed than the list holds, for a guess was too low or they really are that many: those that a
/// search finds, in no order, or the cut if there are more.
template <class T, class Room>
static __device__ __noinline__ KeptTokens search_row(const DeviceRow<T> row, double total, Room& room) {
  const SelectRule rule = select_rule(row.columns, total, room);
  LogitCut first{};
  if (rule.by_count || rule.by_mass) first = search_first(row, rule, room.list.bins, room.reduction);
  if (first.found) {
    const std::int32_t count = gather_tokens(row, room.chunks, first.logit, room.list);
    if (count <= kListLength) return {count, 0};
  }
  return {0, select_cut(row, rule, first, room.list.bins, room.reduction)};
}

/// Lists what may be kept, by guesses that suffice; the number of tokens, of which no more than kListLength are listed.
template <class T, class Room>
static __device__ __forceinline__ std::int32_t list_row(const DeviceRow<T>& row, double total, Room& room) {
  const SelectRule rule = select_rule(row.columns, total, room);
  const MassScale& scale = rule.scale;
  if (rule.by_count) {
    return gather_count(row, rule.sampling.top_k, room.chunks, room.list, room.reduction);
  }
  if (rule.by_mass) {
    const double need = needed_mass(rule.sampling.top_p, total);
    return gather_mass(row, need, scale, room.chunks, room.list, room.reduction);
  }
  const float distance = static_cast<float>(-rule.nearest);
  const float magnitude = float_from_bits(bits_of(scale.max) & kFloatMagnitude);
  return gather_tokens(row, room.chunks, scale.max - (distance + (distance + magnitude) * 1e-6f), room.list);
}

/// What is kept of `count` listed tokens, in order.
template <class Room>
static __device__ __noinline__ KeptTokens cut_list(std::int32_t count, int columns, double total, Room& room) {
  ListRoom& list = room.list;
  const SelectRule rule = select_rule(columns, total, room);
  sort_keys(count, list);
  if (rule.by_count && rule.sampling.top_k < count) count = rule.sampling.top_k;
  if (rule.by_mass) {
    const double share = rule.by_count ? -1.0 : total;
    count = count_mass(count, rule.sampling.top_p, share, rule.scale, list, room.reduction);
  }
  if (rule.sampling.min_p > 0.0f) count = count_near(count, rule.nearest, rule.scale.max, list, room.reduction);
  return {count, list.key[count - 1]};
}

/// What top-k, top-p and min-p leave of the good row whose facts, chunks and temperature are in the room, in this
/// order. At least one of them is on. `total` is the mass of the row, negative where the pass did not take it.
///
/// Top-k and min-p are exact. Masses are integers, multiples of 2^-40 of the highest weight, so that no order of adding
/// changes them; weights are good to 1e-6, and a cut of top-p that comes closer to p may keep a few tokens of next to
/// no weight more or less.
template <class T, class Room>
static __device__ __noinline__ KeptTokens truncate_row(const DeviceRow<T> row, double total, Room& room) {
  const SelectRule rule = select_rule(row.columns, total, room);
  const bool weighs = rule.by_mass && !rule.by_count;
  if (weighs && total < 0.0) total = static_cast<double>(total_mass(row, 0, rule.scale, room.reduction));
  std::int32_t count = list_row(row, total, room);
  if (count > kListLength) {
    const KeptTokens found = search_row(row, total, room);
    if (found.count == 0) return found;
    count = found.count;
  }
  return cut_list(count, row.columns, total, room);
}

/// The sample among the listed tokens.
static __device__ __noinline__ DrawnToken race_list(const RaceRule rule, std::int32_t count, const ListRoom& list,
                                                    ReductionRoom& room) {
  return best_of(
      rule,
      [&](auto& f) {
        for (std::int32_t i = static_cast<int>(threadIdx.x); i < count; i += kSamplerThreads) {
          const float x = candidate_logit(list.key[i]);
          const std::int32_t id = candidate_id(list.key[i]);
          f(float_score(rule, x, id, token_word(rule.key, id)), x, id);
        }
      },
      [&](std::int32_t id) {
        // Any key of it will do for the logit.
        std::int32_t i = 0;
        while (candidate_id(list.key[i]) != id) ++i;
        return candidate_logit(list.key[i]);
      },
      room);
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
