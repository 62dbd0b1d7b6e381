/// @file
/// Exact top-k, top-p and min-p by a whole CTA: tokens above a threshold that is known to suffice are gathered from the
/// chunks that hold any, and sorted. Where they are too many for the list, `device_select.cuh` cuts the row in place.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_pass.cuh>
#include <reset/sampler/detail/device_race.cuh>
#include <reset/sampler/detail/device_select.cuh>
#include <reset/sampler/detail/device_statistics.cuh>

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
  for (int i = self / 32; i < list.chunks; i += kSamplerWarps) {
    const int chunk = list.chunk[i];
    ChunkReader<T, 1> reader;
    reader.load(row, chunk, lane);
#pragma unroll
    for (int q = 0; q < 4; ++q) {
#pragma unroll
      for (int j = 0; j < ChunkReader<T, 1>::kBlocks; ++j) {
        const float x = reader.quarter[q].at(j);
        if (!(x >= threshold) || !is_finite(x)) continue;
        const std::int32_t at = atomicAdd(&list.listed, 1);
        const int id = chunk * kChunk + q * kChunkBlocks + lane * ChunkReader<T, 1>::kBlocks + j;
        if (at < kListLength) list.key[at] = candidate_key(x, id);
      }
    }
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

/// The lowest of the `wanted` highest maxima of chunks: at least so many logits are not below it. -inf where fewer
/// chunks hold any.
static __device__ float wanted_threshold(std::int32_t wanted, int chunks, const ChunkRoom& room,
                                         ReductionRoom& reduction) {
  const int self = static_cast<int>(threadIdx.x);
  if (wanted > chunks) return float_from_bits(0xff800000u);
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

/// Lists at least the `wanted` best tokens (or all there are); their number, or more than kListLength.
template <class T>
static __device__ std::int32_t gather_count(const DeviceRow<T>& row, std::int32_t wanted, float max,
                                            const ChunkRoom& chunks, ListRoom& list, ReductionRoom& room) {
  if (wanted > kListLength) return kListLength + 1;
  const float threshold = wanted_threshold(wanted, row.chunks(), chunks, room);
  if (is_finite(threshold)) return gather_tokens(row, chunks, threshold, list);
  for (float distance = 8.0f; distance < 200.0f; distance *= 2.0f) {
    const std::int32_t found = gather_tokens(row, chunks, max - distance, list);
    if (found >= wanted) return found;
  }
  return gather_tokens(row, chunks, float_from_bits(0xff800000u), list);
}

/// Lists tokens whose mass reaches `need`, further and further below the maximum; their number, or more than
/// kListLength.
template <class T>
static __device__ std::int32_t gather_mass(const DeviceRow<T>& row, double need, const MassScale& scale,
                                           const ChunkRoom& chunks, ListRoom& list, ReductionRoom& room) {
  for (float bits = 4.0f; bits < 200.0f; bits *= 2.0f) {
    const std::int32_t found = gather_tokens(row, chunks, scale.max - bits / scale.per_nat, list);
    if (found > kListLength) return found;
    std::uint64_t mass = 0;
    for (std::int32_t i = static_cast<int>(threadIdx.x); i < found; i += kSamplerThreads) {
      mass += token_mass(candidate_logit(list.key[i]), scale);
    }
    mass = block_reduce(
        mass, [](std::uint64_t a, std::uint64_t b) { return a + b; }, room);
    if (static_cast<double>(mass) >= need) return found;
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
  return block_reduce(
      near, [](std::int32_t a, std::int32_t b) { return a + b; }, room);
}

/// What top-k, top-p and min-p leave of a good row, in this order. At least one of them is on. `total` is the mass of
/// the row, negative where the pass did not take it.
///
/// Top-k and min-p are exact. Masses are integers, multiples of 2^-40 of the highest weight, so that no order of adding
/// changes them; weights are good to 1e-6, and a cut of top-p that comes closer to p may keep a few tokens of next to
/// no weight more or less.
template <class T>
static __device__ __noinline__ KeptTokens truncate_row(const DeviceRow<T> row, const SamplingParams& sampling,
                                                       float max, float temperature, double total,
                                                       const ChunkRoom& chunks, ListRoom& list, ReductionRoom& room) {
  const bool by_count = cuts_by_count(sampling, row.columns);
  const bool by_mass = sampling.top_p < 1.0f;
  const double nearest = sampling.min_p > 0.0f ? min_p_distance(sampling.min_p, temperature) : 0.0;
  const MassScale scale{max, kLog2E / temperature};
  if (by_mass && !by_count && total < 0.0) total = static_cast<double>(select_total(row, 0, scale, room));
  std::int32_t count = 0;
  if (by_count) {
    count = gather_count(row, sampling.top_k, max, chunks, list, room);
  } else if (by_mass) {
    count = gather_mass(row, static_cast<double>(sampling.top_p) * total, scale, chunks, list, room);
  } else {
    const float distance = static_cast<float>(-nearest);
    const float magnitude = float_from_bits(bits_of(max) & kFloatMagnitude);
    count = gather_tokens(row, chunks, max - (distance + (distance + magnitude) * 1e-6f), list);
  }
  if (count > kListLength) {
    return {0, select_cut(row, SelectRule{sampling, by_count, by_mass, total, nearest, scale}, list.bins, room)};
  }
  sort_keys(count, list);
  if (by_count && sampling.top_k < count) count = sampling.top_k;
  if (by_mass) count = count_mass(count, sampling.top_p, by_count ? -1.0 : total, scale, list, room);
  if (sampling.min_p > 0.0f) count = count_near(count, nearest, max, list, room);
  return {count, list.key[count - 1]};
}

/// The sample among the listed tokens.
static __device__ __noinline__ Contender race_list(const RaceRule rule, std::int32_t count, const ListRoom& list,
                                                   ReductionRoom& room) {
  return best_of(
      rule,
      [&](auto f) {
        for (std::int32_t i = static_cast<int>(threadIdx.x); i < count; i += kSamplerThreads) {
          const float x = candidate_logit(list.key[i]);
          const std::int32_t id = candidate_id(list.key[i]);
          const RandomSlot slot = random_slot(id);
          const PhiloxBlock words = random_block(rule.key, slot.block);
          f(float_score(rule, x, id, word_of(words, slot.word)), x, id);
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
