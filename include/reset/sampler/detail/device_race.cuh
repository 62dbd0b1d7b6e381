/// @file
/// The winners of Gumbel races by a whole CTA, exactly: of a row the chunks in the order of what they can reach, of
/// what truncation has left the tokens.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_row.cuh>
#include <reset/sampler/detail/device_score.cuh>
#include <reset/sampler/detail/device_walk.cuh>
#include <reset/sampler/random.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// The best and the second best score that a thread has seen. NaN is below all of them, until there is one.
struct ThreadLead {
  float slack;
  float best = float_from_bits(0x7fc00000u);
  float second = float_from_bits(0x7fc00000u);
  std::int32_t id = -1;
  float least = float_from_bits(0xff800000u);  // what is below has no part in the race

  __device__ __forceinline__ explicit ThreadLead(float width) : slack(width) {}

  __device__ __forceinline__ void operator()(float score, float, std::int32_t other) {
    const bool ahead = !(score <= best);
    second = ahead ? best : fmaxf(second, score);
    id = ahead ? other : id;
    best = ahead ? score : best;
  }

  /// By whole warps, whose threads learn what the others have seen.
  __device__ __forceinline__ void share() {
    const std::uint32_t own = order_of(id < 0 ? float_from_bits(0xff800000u) : best);
    least = number_of(__reduce_max_sync(kFullWarp, own)) - slack;
  }
};

/// The best of the tokens whose score in float is at least `least`, by the defined score.
struct ThreadFinalist {
  const RaceRule& rule;
  float least;
  Finalist finalist{0.0, -1};

  __device__ __forceinline__ ThreadFinalist(const RaceRule& race, float near) : rule(race), least(near) {}

  __device__ __forceinline__ void operator()(float score, float x, std::int32_t id) {
    if (score >= least) finalist = better(finalist, judge(rule, x, id));
  }
  __device__ __forceinline__ void share() {}
};

/// The best of the tokens that `each` shows, in the whole CTA: each(f) calls f(score, logit, id) for every token of the
/// calling thread, but for some whose score is below f.least. `logit_of` tells the logit of an id.
template <class Each, class LogitOf>
static __device__ __forceinline__ DrawnToken best_of(const RaceRule& rule, Each each, LogitOf logit_of,
                                                     ReductionRoom& room) {
  ThreadLead own(score_slack_bits(rule));
  each(own);
  const std::uint64_t key = own.id < 0 ? 0 : candidate_key(own.best, own.id);
  const std::uint64_t best = block_best(key, room);
  if (best == 0) return {-1, 0.0f};
  const float near = candidate_logit(best) - own.slack;
  std::int32_t leader = candidate_id(best);
  if (__syncthreads_or((key == best ? own.second : own.best) >= near ? 1 : 0) != 0) {
    ThreadFinalist finalists(rule, near);
    each(finalists);
    leader = block_reduce(
                 finalists.finalist, [](const Finalist& a, const Finalist& b) { return better(a, b); }, room)
                 .id;
  }
  return {leader, logit_of(leader)};
}

/// The words below which a token's noise may make up for so many bits that its score lacks: -log2 of an exponential
/// variate is at most that of the uniform one it is made of.
static __device__ __forceinline__ std::uint32_t words_for(float bits) {
  return __float2uint_rz(fast_exp2(fminf(32.01f - bits, 32.0f)));
}

/// The random numbers of a thread's four tokens in a chunk.
struct RaceBlock {
  int chunk;
  PhiloxBlock words;

  __device__ __forceinline__ RaceBlock(const RandomKey& key, int where)
      : chunk(where), words(random_block(key, static_cast<std::uint32_t>(where * kChunkBlocks) + threadIdx.x)) {}

  /// Shows the tokens that compete and may reach f.least to f(score, logit, id). `bound` is what no score lacking its
  /// noise is above. Few blocks have such a token: logits are read where they do.
  template <class T, class F>
  __device__ __forceinline__ void show(const RaceRule& rule, const KeyFloor& floor, const DeviceRow<T>& row,
                                       float bound, F& f) const {
    const std::uint32_t limit = words_for(f.least - bound);
    if (min(min(words.word[0], words.word[1]), min(words.word[2], words.word[3])) > limit) return;
    const int first = chunk * kChunk + static_cast<int>(threadIdx.x);
    float x[4];
#pragma unroll
    for (int q = 0; q < 4; ++q) x[q] = load_logit(row, first + q * kChunkBlocks);
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      const std::int32_t id = first + q * kChunkBlocks;
      if (words.word[q] <= limit && floor.reached(x[q], id)) f(float_score(rule, x[q], id, words.word[q]), x[q], id);
    }
  }
};

/// The best token of a chunk.
template <class T>
static __device__ __noinline__ DrawnToken race_chunk(const RaceRule rule, const DeviceRow<T> row, int chunk,
                                                     ReductionRoom& room) {
  const KeyFloor floor(rule.cut);
  return best_of(
      rule, [&](auto& f) { RaceBlock(rule.key, chunk).show(rule, floor, row, 0.0f, f); },
      [&](std::int32_t id) { return load_logit(row, id); }, room);
}

/// The sample of the tokens that pass the cut, token by token; `maxima` are those of the chunks. A thread has a block
/// of random numbers in each chunk.
template <class T>
static __device__ __noinline__ DrawnToken race_kept(const RaceRule rule, const DeviceRow<T> row, const float* maxima,
                                                    ReductionRoom& room) {
  const KeyFloor floor(rule.cut);
  return best_of(
      rule,
      [&](auto& f) {
  // Two are under way side by side; behind the last chunk no token competes.
#pragma unroll 1
        for (int chunk = 0; chunk < row.chunks(); chunk += 2) {
          if (max(signed_order(maxima[chunk]), signed_order(maxima[chunk + 1])) < floor.order) continue;
          const RaceBlock first(rule.key, chunk);
          const RaceBlock second(rule.key, chunk + 1);
          first.show(rule, floor, row, (maxima[chunk] - rule.max) * rule.scale, f);
          second.show(rule, floor, row, (maxima[chunk + 1] - rule.max) * rule.scale, f);
          f.share();
        }
      },
      [&](std::int32_t id) { return load_logit(row, id); }, room);
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
static __device__ __noinline__ DrawnToken race_row(const RaceRule rule, const DeviceRow<T> row, const float* maxima,
                                                   const float* bounds, ReductionRoom& room) {
  const int self = static_cast<int>(threadIdx.x);
  const double offset = div_rn(static_cast<double>(rule.max), static_cast<double>(rule.temperature));
  float bound = self < row.chunks() ? bounds[self] : kNoScore;
  Finalist best{0.0, -1};
  for (;;) {
    const int chunk = candidate_id(block_best(candidate_key(bound, self), room));
    best = better(best, {defined_chunk_score(rule, row, chunk, maxima[chunk], room), chunk});
    if (self == chunk) bound = kNoScore;
    const float lead = static_cast<float>(add_rn(best.score, -offset)) * kLog2EFloat - score_slack_bits(rule);
    const bool hopeful = bits_of(bound) != bits_of(kNoScore) && !(bound < lead);
    if (__syncthreads_or(hopeful ? 1 : 0) == 0) return race_chunk(rule, row, best.id, room);
  }
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
