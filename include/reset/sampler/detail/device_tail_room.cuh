/// @file
/// Which warps do what in the end of a row, and the shared memory in which they hand over.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/barrier.cuh>
#include <reset/sampler/detail/device_block.cuh>
#include <reset/sampler/detail/device_memory.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// Warps that race: half of them at either temperature, or all at the only one.
inline constexpr int kRaceWarps = kSamplerWarps - 2;
inline constexpr int kPolicyWarp = kSamplerWarps - 1;  // which decides
/// Warps that merge: the one between, and the last of either half of those that race, which has no chunk there.
inline constexpr int kSumWarps = 3;

/// Warps of a team that have chunks, four a thread.
inline constexpr int kChunkWarps = kSamplerThreads / 4 / 32;
static_assert(kChunkWarps == 2 && kChunkWarps < kRaceWarps / 2, "the last warp of a half has no chunks");

/// Which part of the merging a warp has; -1 for none.
static __device__ __forceinline__ int sum_part(int warp) {
  constexpr int kHalf = kRaceWarps / 2;
  return warp == kRaceWarps ? 0 : warp == kHalf - 1 ? 1 : warp == kRaceWarps - 1 ? 2 : -1;
}

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

inline constexpr int kMostKept = 64;                 // tokens that a list is for: two a lane
inline constexpr int kMostListed = 32 * kRaceWarps;  // tokens of a list, one a thread
inline constexpr int kChunksAtOnce = 4;              // that a warp reads for it
inline constexpr int kMostRuns = 64;                 // of tokens that a warp looks through for it

/// The best tokens of a row, and how they were found.
struct BestRoom {
  std::uint64_t step_ready;                 // of listing, by all threads that list: see list_sync
  std::uint64_t key[kMostListed];           // in no order
  std::uint64_t kept[kMostKept];            // the best of them in order,
  std::uint32_t word[kMostKept];            // and their random words
  double total[2];                          // the row's mass at either temperature, where shares of it count
  std::int32_t chunk[kSamplerThreads];      // that may hold any,
  std::int32_t run[kRaceWarps][kMostRuns];  // and where each warp has looked closer
  std::int32_t chunks;
  std::uint32_t threshold;  // what all reach, in the order of floats; not finite where there is no list
  std::int32_t listed;      // more than kMostListed: they could not be
};

/// The best score of some tokens or chunks, whose it is, its logit (of a chunk nothing), and the score behind it; -inf
/// for none.
struct alignas(16) RaceLead {
  float best;
  float second;
  std::int32_t id;
  float logit;
};

/// What the warps tell each other, and the barriers at which those who wrote arrive: nobody waits to be read.
struct TailRoom {
  std::uint64_t sums_ready;           // of the parts of the sums
  std::uint64_t chunks_ready[2];      // of the leads among chunks, at either temperature
  std::uint64_t tokens_ready[2];      // of those among the tokens
  std::uint64_t settled[2];           // of the winner at either temperature, if there is one
  float4 noise[kSamplerThreads / 4];  // of the chunks, in bits
  SumPair sums[kSumWarps];            // of the row, in parts
  float max[kSumWarps];               // of it, as each of them finds it
  RaceLead chunk[2][kChunkWarps];     // of each warp's chunks
  float most[2][kChunkWarps];         // the largest logit of these
  RaceLead token[2][kRaceWarps];      // of each warp's tokens of the chunk that leads
  EarlyToken early[2];                // the winner at either temperature
  Temperatures expected;              // what the pass was for
  RowFacts facts;
  RowFacts entropy_facts;  // of the row that the entropy is of, where it is another
};

/// By one thread: what has come of the race at one of the temperatures.
static __device__ __forceinline__ void settle_race(TailRoom& room, int t, const EarlyToken& token) {
  room.early[t] = token;
  barrier_arrive(shared_address(&room.settled[t]));
}
/// Nothing.
static __device__ __forceinline__ void settle_nothing(TailRoom& room, int t) { settle_race(room, t, {-1, 0.0f, 0, 0}); }

/// By one thread, before a barrier of the CTA; `team_warps`: those of each team that races.
static __device__ __forceinline__ void init_barriers(TailRoom& room, int team_warps) {
  barrier_init(shared_address(&room.sums_ready), kSumWarps);
#pragma unroll
  for (int t = 0; t < 2; ++t) {
    barrier_init(shared_address(&room.chunks_ready[t]), kChunkWarps);
    barrier_init(shared_address(&room.tokens_ready[t]), team_warps);
    barrier_init(shared_address(&room.settled[t]), 1);
  }
}
}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
