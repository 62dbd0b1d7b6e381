/// @file
/// The winner of a row's Gumbel race, exactly: chunks in the order of what they can reach, floats to rule tokens out,
/// the defined score for those that floats cannot tell apart.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_row.cuh>
#include <reset/sampler/random.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// What a race needs to know of its row.
struct RaceRule {
  RandomKey key;
  float max;          // of the row
  float temperature;  // above kArgmaxTemperature
  std::uint64_t cut;  // candidate keys below it do not compete
};

/// A token and its score in bits relative to the row's maximum, in float.
struct Contender {
  float score;
  float logit;
  std::int32_t id;  // negative: none
};

/// By how much a score in float may miss the defined one, in bits, twice. The defined one is rounded itself, to
/// multiples of up to 2^-52 of x / T.
static __device__ __forceinline__ float score_slack(const RaceRule& rule) {
  const float offset = float_from_bits(bits_of(rule.max) & kFloatMagnitude) / rule.temperature;
  return 2e-4f + offset * 0x1p-49f;
}

/// log2 E of the exponential variate E = -log(1 - v) that `gumbel_noise` is -log of; within 1e-5.
static __device__ __forceinline__ float log2_exponential(const RandomKey& key, std::int32_t id, std::uint32_t word) {
  if (word < kTailWord) return fast_log2(static_cast<float>(tail_uniform(key, id, word)));
  const float v = (static_cast<float>(word) + 0.5f) * 0x1p-32f;
  if (v < 0.03f) return fast_log2(v * (1.0f + v * (0.5f + v * 0.333333f)));
  // 1 - v by the complement of the word, which does not cancel.
  return fast_log2(-kLn2 * fast_log2((static_cast<float>(~word) + 0.5f) * 0x1p-32f));
}

static __device__ __forceinline__ float float_score(const RaceRule& rule, float x, std::int32_t id, std::uint32_t word) {
  const float scale = kLog2E / rule.temperature;
  return (x - rule.max) * scale - log2_exponential(rule.key, id, word);
}

static __device__ __forceinline__ double defined_score(const RaceRule& rule, float x, std::int32_t id) {
  return gumbel_score(x, rule.temperature, gumbel_noise(rule.key, id));
}

static __device__ __forceinline__ bool competes(const RaceRule& rule, float x, std::int32_t id) {
  return is_finite(x) && candidate_key(x, id) >= rule.cut;
}

/// A defined score and whose it is, as an order: the higher score, then the lower id.
struct Finalist {
  double score;
  std::int32_t id;  // negative: none
};

static __device__ __forceinline__ Finalist shuffle_xor(Finalist f, int distance) {
  return {shuffle_xor(f.score, distance), shuffle_xor(f.id, distance)};
}

static __device__ __forceinline__ Finalist better(Finalist a, Finalist b) {
  if (a.id < 0 || b.id < 0) return a.id < 0 ? b : a;
  if (a.score > b.score || (a.score == b.score && a.id < b.id)) return a;
  return b;
}

/// The better of two contenders of one race.
static __device__ __forceinline__ Contender better(const RaceRule& rule, const Contender& a, const Contender& b) {
  if (a.id < 0 || b.id < 0) return a.id < 0 ? b : a;
  const float slack = score_slack(rule);
  if (a.score > b.score + slack) return a;
  if (b.score > a.score + slack) return b;
  const Finalist winner =
      better(Finalist{defined_score(rule, a.logit, a.id), a.id}, Finalist{defined_score(rule, b.logit, b.id), b.id});
  return winner.id == a.id ? a : b;
}

/// The best of the tokens that `each` shows, in the whole CTA: each(f) calls f(score, logit, id) for every token of the
/// calling thread, twice the same.
template <class Each>
static __device__ Contender best_of(const RaceRule& rule, Each each, ReductionRoom& room) {
  Contender own{0.0f, 0.0f, -1};
  each([&](float score, float x, std::int32_t id) {
    if (own.id < 0 || score > own.score) own = {score, x, id};
  });
  const std::uint64_t best = block_best(own.id < 0 ? 0 : candidate_key(own.score, own.id), room);
  if (best == 0) return {0.0f, 0.0f, -1};
  const float near = candidate_logit(best) - score_slack(rule);
  std::int32_t leader = candidate_id(best);
  int rivals = 0;
  each([&](float score, float, std::int32_t id) { rivals += score >= near && id != leader ? 1 : 0; });
  if (__syncthreads_or(rivals) != 0) {
    Finalist finalist{0.0, -1};
    each([&](float score, float x, std::int32_t id) {
      if (score >= near) finalist = better(finalist, Finalist{defined_score(rule, x, id), id});
    });
    leader = block_reduce(finalist, [](Finalist a, Finalist b) { return better(a, b); }, room).id;
  }
  // Everyone learns the leader's logit.
  std::uint64_t told = 0;
  each([&](float score, float x, std::int32_t id) {
    if (id == leader) told = (static_cast<std::uint64_t>(bits_of(score)) << 32) | bits_of(x);
  });
  told = block_reduce(told, [](std::uint64_t a, std::uint64_t b) { return a | b; }, room);
  return {float_from_bits(static_cast<std::uint32_t>(told >> 32)), float_from_bits(static_cast<std::uint32_t>(told)),
          leader};
}

/// The best token of a chunk: a thread takes the four ids of one block of random numbers.
template <class T>
static __device__ Contender race_chunk(const RaceRule& rule, const DeviceRow<T>& row, int chunk, ReductionRoom& room) {
  const int lane = static_cast<int>(threadIdx.x);
  float x[4];
  float score[4];
#pragma unroll
  for (int q = 0; q < 4; ++q) x[q] = load_logit(row, chunk * kChunk + q * kChunkBlocks + lane);
  const PhiloxBlock words = random_block(rule.key, static_cast<std::uint32_t>(chunk * kChunkBlocks + lane));
#pragma unroll
  for (int q = 0; q < 4; ++q) {
    score[q] = float_score(rule, x[q], chunk * kChunk + q * kChunkBlocks + lane, words.word[q]);
  }
  return best_of(
      rule,
      [&](auto f) {
#pragma unroll
        for (int q = 0; q < 4; ++q) {
          const std::int32_t id = chunk * kChunk + q * kChunkBlocks + lane;
          if (competes(rule, x[q], id)) f(score[q], x[q], id);
        }
      },
      room);
}

/// The sample of a row: `bounds[c]` is not below any score of chunk c, in bits relative to the row's maximum, and -inf
/// where no token of it competes. Overwrites `bounds`.
template <class T>
static __device__ Contender race_row(const RaceRule& rule, const DeviceRow<T>& row, float* bounds,
                                     ReductionRoom& room) {
  const int self = static_cast<int>(threadIdx.x);
  Contender best{0.0f, 0.0f, -1};
  for (;;) {
    const float bound = self < row.chunks() ? bounds[self] : float_from_bits(0xff800000u);
    const std::uint64_t next = block_best(candidate_key(bound, self), room);
    const float reach = candidate_logit(next);
    const bool hopeless = best.id >= 0 && reach < best.score - score_slack(rule);
    if (hopeless || bits_of(reach) == 0xff800000u) return best;
    const int chunk = candidate_id(next);
    if (self == 0) bounds[chunk] = float_from_bits(0xff800000u);
    best = better(rule, best, race_chunk(rule, row, chunk, room));
  }
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
