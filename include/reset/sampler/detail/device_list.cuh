/// @file
/// The best tokens of a row, listed while its temperature is still being decided: which they are depends on none.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/barrier.cuh>
#include <reset/sampler/detail/candidate.hpp>
#include <reset/sampler/detail/device_facts.cuh>
#include <reset/sampler/detail/device_pass.cuh>
#include <reset/sampler/detail/device_row.cuh>
#include <reset/sampler/detail/device_score.cuh>
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
  bool judges;  // drafts: then what is left is weighed

  /// Whether tokens are kept by their share of the row's mass.
  __device__ __forceinline__ bool by_share() const { return top_p < 1.0f && !by_count; }
};

/// Lists are for small top-k; for top-p and min-p in the hope that they keep no more tokens than a warp can draw from.
static __device__ __forceinline__ KeepRule keep_rule(const SamplingParams& sampling, const Temperatures& t, int columns,
                                                     bool judges) {
  const bool by_count = cuts_by_count(sampling, columns);
  const bool draws = t.value[0] > kArgmaxTemperature || t.value[1] > kArgmaxTemperature;
  const bool fits = by_count ? sampling.top_k <= kMostKept : truncates(sampling, columns);
  const std::int32_t wanted = draws && fits ? (by_count ? sampling.top_k : kMostKept) : 0;
  return {wanted, by_count, sampling.top_p, sampling.min_p, judges};
}

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

/// By each of the warps that list, for the row's `step`-th time: waits for the others. `step_ready`, which is the
/// slower way, is for racecheck.
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
    const std::uint32_t word = token_word(random, candidate_id(key));
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

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
