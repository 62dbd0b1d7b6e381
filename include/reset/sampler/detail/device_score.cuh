/// @file
/// Scores in a Gumbel race: in float, which rules tokens out, and as they are defined, for those that floats cannot
/// tell apart.
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

inline constexpr float kNoScore = float_from_bits(0xff800000u);

/// A token and its logit; the logit is not finite where the row has none that is.
struct DrawnToken {
  std::int32_t id;  // negative: none
  float logit;
};

/// By how much a score in float may miss the defined one, in bits, twice. The defined one is rounded itself, to
/// multiples of up to 2^-52 of x / T.
static __device__ __forceinline__ float score_slack_bits(const RaceRule& rule) {
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
  const float logarithm = -kLn2Float * fast_log2((static_cast<float>(~word) + 0.5f) * 0x1p-32f);
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

/// A token's random word, where the block's others are of no use.
static __device__ __forceinline__ std::uint32_t token_word(const RandomKey& key, std::int32_t id) {
  const RandomSlot slot = random_slot(id);
  return word_of(random_block(key, slot.block), slot.word);
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

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
