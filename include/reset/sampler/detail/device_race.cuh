/// @file
/// The winners of Gumbel races, exactly: chunks in the order of what they can reach, floats to rule tokens out, the
/// defined score for those that floats cannot tell apart.
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
  float scale;        // log2(e) / T
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
  const float offset = float_from_bits(bits_of(rule.max) & kFloatMagnitude) * rule.scale;
  return 2e-4f + offset * 0x1p-49f;
}

// Out of line, as all that is seldom needed here: the kernel's end has to come from the instruction cache.
static __device__ __noinline__ float log2_tail(const RandomKey key, const NoisePlace place, std::uint32_t word) {
  return fast_log2(static_cast<float>(tail_uniform(key, place, word)));
}

/// log2 E of the exponential variate E = -log(1 - v) that a Gumbel noise is -log of, for a word of kTailWord or more;
/// within 3e-5.
static __device__ __forceinline__ float log2_exponential_of(std::uint32_t word) {
  const float v = (static_cast<float>(word) + 0.5f) * 0x1p-32f;
  const float series = v * (1.0f + v * (0.5f + v * 0.333333f));
  // 1 - v by the complement of the word, which does not cancel.
  const float logarithm = -kLn2 * fast_log2((static_cast<float>(~word) + 0.5f) * 0x1p-32f);
  return fast_log2(v < 0.03f ? series : logarithm);
}

/// The same for any word, from the place where it stands.
static __device__ __forceinline__ float log2_exponential(const RandomKey& key, const NoisePlace& place,
                                                         std::uint32_t word) {
  return word < kTailWord ? log2_tail(key, place, word) : log2_exponential_of(word);
}

static __device__ __forceinline__ float float_score(const RaceRule& rule, float x, std::int32_t id,
                                                    std::uint32_t word) {
  return (x - rule.max) * rule.scale - log2_exponential(rule.key, token_place(id), word);
}

/// A word of a block, by selection: an index would send the words through memory.
static __device__ __forceinline__ std::uint32_t word_of(const PhiloxBlock& block, std::uint32_t word) {
  const std::uint32_t low = word == 0 ? block.word[0] : block.word[1];
  const std::uint32_t high = word == 2 ? block.word[2] : block.word[3];
  return word < 2 ? low : high;
}

/// What a chunk's noise adds to its score, in bits.
static __device__ __forceinline__ float chunk_noise_bits(const RandomKey& key, int chunk) {
  const NoisePlace place = chunk_place(static_cast<std::uint32_t>(chunk));
  const PhiloxBlock block = random_block(key, place.slot.block, place.stream);
  return -log2_exponential(key, place, word_of(block, place.slot.word));
}

static __device__ __noinline__ double defined_score(const RandomKey key, float temperature, float x, std::int32_t id) {
  return gumbel_score(x, temperature, gumbel_noise(key, id));
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

/// A token's defined score.
static __device__ __forceinline__ Finalist judge(const RaceRule& rule, float x, std::int32_t id) {
  return {defined_score(rule.key, rule.temperature, x, id), id};
}

/// The better of two contenders of one race.
static __device__ __forceinline__ Contender better(const RaceRule& rule, const Contender& a, const Contender& b) {
  if (a.id < 0 || b.id < 0) return a.id < 0 ? b : a;
  const float slack = score_slack(rule);
  if (a.score > b.score + slack) return a;
  if (b.score > a.score + slack) return b;
  return better(judge(rule, a.logit, a.id), judge(rule, b.logit, b.id)).id == a.id ? a : b;
}

/// Of the tokens that `each` shows whose score in float is at least `near`, the best by the defined one, in the CTA.
template <class Each>
static __device__ std::int32_t judge_rivals(const RaceRule& rule, float near, Each each, ReductionRoom& room) {
  Finalist finalist{0.0, -1};
  each([&](float score, float x, std::int32_t id) {
    if (score >= near) finalist = better(finalist, judge(rule, x, id));
  });
  return block_reduce(
             finalist, [](const Finalist& a, const Finalist& b) { return better(a, b); }, room)
      .id;
}

/// The best of the tokens that `each` shows, in the whole CTA: each(f) calls f(score, logit, id) for every token of the
/// calling thread, each time the same. `logit_of` tells the logit of an id.
template <class Each, class LogitOf>
static __device__ __forceinline__ Contender best_of(const RaceRule& rule, Each each, LogitOf logit_of,
                                                    ReductionRoom& room) {
  std::uint64_t own = 0;
  each([&](float score, float, std::int32_t id) {
    const std::uint64_t key = candidate_key(score, id);
    own = key > own ? key : own;
  });
  const std::uint64_t best = block_best(own, room);
  if (best == 0) return {0.0f, 0.0f, -1};
  const float near = candidate_logit(best) - score_slack(rule);
  std::int32_t leader = candidate_id(best);
  int rivals = 0;
  each([&](float score, float, std::int32_t id) { rivals += score >= near && id != leader ? 1 : 0; });
  if (__syncthreads_or(rivals) != 0) leader = judge_rivals(rule, near, each, room);
  return {candidate_logit(best), logit_of(leader), leader};
}

/// The best token of a chunk: a thread takes the four ids of one block of random numbers.
template <class T>
static __device__ __noinline__ Contender race_chunk(const RaceRule rule, const DeviceRow<T> row, int chunk,
                                                    ReductionRoom& room) {
  const int first = chunk * kChunk + static_cast<int>(threadIdx.x);
  float x[4];
  float score[4];
#pragma unroll
  for (int q = 0; q < 4; ++q) x[q] = load_logit(row, first + q * kChunkBlocks);
  const PhiloxBlock words = random_block(rule.key, static_cast<std::uint32_t>(chunk * kChunkBlocks) + threadIdx.x);
#pragma unroll
  for (int q = 0; q < 4; ++q) score[q] = float_score(rule, x[q], first + q * kChunkBlocks, words.word[q]);
  return best_of(
      rule,
      [&](auto f) {
#pragma unroll
        for (int q = 0; q < 4; ++q) {
          if (competes(rule, x[q], first + q * kChunkBlocks)) f(score[q], x[q], first + q * kChunkBlocks);
        }
      },
      [&](std::int32_t id) { return load_logit(row, id); }, room);
}

inline constexpr float kNoScore = float_from_bits(0xff800000u);

/// The sample of the tokens that pass the cut, token by token: `bounds[c]` is not below any score of chunk c, in bits
/// relative to the row's maximum, and kNoScore where no token of it competes.
template <class T>
static __device__ __noinline__ Contender race_kept(const RaceRule rule, const DeviceRow<T> row, const float* bounds,
                                                   ReductionRoom& room) {
  const int self = static_cast<int>(threadIdx.x);
  float bound = self < row.chunks() ? bounds[self] : kNoScore;
  Contender best{0.0f, 0.0f, -1};
  for (;;) {
    const int chunk = candidate_id(block_best(candidate_key(bound, self), room));
    best = better(rule, best, race_chunk(rule, row, chunk, room));
    if (self == chunk) bound = kNoScore;
    const bool hopeful =
        bits_of(bound) != bits_of(kNoScore) && !(best.id >= 0 && bound < best.score - score_slack(rule));
    if (__syncthreads_or(hopeful ? 1 : 0) == 0) return best;
  }
}

/// The defined score of a chunk whose maximum is `max`, by the whole CTA.
template <class T>
static __device__ __noinline__ double defined_chunk_score(const RaceRule rule, const DeviceRow<T> row, int chunk,
                                                          float max, ReductionRoom& room) {
  double first = 0.0;
  double second = 0.0;
#pragma unroll 1
  for (int q = 0; q < 4; ++q) {
    const float x = load_logit(row, chunk * kChunk + q * kChunkBlocks + static_cast<int>(threadIdx.x));
    const double weight = mass_of_token(x, max, rule.temperature);
    first = q < 2 ? add_rn(first, weight) : first;
    second = q < 2 ? second : add_rn(second, weight);
  }
  const double own = add_rn(first, second);
  const double mass = block_reduce(
      own, [](double a, double b) { return add_rn(a, b); }, room);
  return chunk_score(max, rule.temperature, mass, chunk_noise(rule.key, static_cast<std::uint32_t>(chunk)));
}

/// The sample of a whole good row: `bounds[c]` is not below the score of chunk c, in bits relative to the row's
/// maximum, and kNoScore where it has none; `maxima` are those of the chunks. Chunks are judged in the order of what
/// they can reach, as long as one may still win.
template <class T>
static __device__ __noinline__ Contender race_row(const RaceRule rule, const DeviceRow<T> row, const float* maxima,
                                                  const float* bounds, ReductionRoom& room) {
  const int self = static_cast<int>(threadIdx.x);
  const double offset = div_rn(static_cast<double>(rule.max), static_cast<double>(rule.temperature));
  float bound = self < row.chunks() ? bounds[self] : kNoScore;
  Finalist best{0.0, -1};
  for (;;) {
    const int chunk = candidate_id(block_best(candidate_key(bound, self), room));
    best = better(best, {defined_chunk_score(rule, row, chunk, maxima[chunk], room), chunk});
    if (self == chunk) bound = kNoScore;
    const float lead = static_cast<float>(add_rn(best.score, -offset)) * kLog2E - score_slack(rule);
    const bool hopeful = bits_of(bound) != bits_of(kNoScore) && !(bound < lead);
    if (__syncthreads_or(hopeful ? 1 : 0) == 0) return race_chunk(rule, row, best.id, room);
  }
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
