/// @file
/// Counter-based random numbers: Philox4x32-10 keyed by seed, purpose, position and token, and the Gumbel noise that
/// sampling adds to logits. The same token is chosen on host and device, at any batch size, row or grid.
///
/// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
#pragma once

#include <cstdint>

#include <reset/sampler/detail/exact_math.hpp>

RESET_NAMESPACE_BEGIN

/// What a random number is for. Numbers of different purposes are independent at the same seed and position.
enum class RandomPurpose : std::uint32_t {
  kSampling,   ///< Sampling a token from the target model.
  kDrafting,   ///< Sampling a token from a draft model.
  kAccepting,  ///< Accepting or rejecting a drafted token.
  kResidual,   ///< Sampling from what rejection leaves.
};

/// The key of one row's random numbers.
struct RandomKey {
  std::uint64_t seed = 0;                            ///< The request's.
  std::int64_t position = 0;                         ///< Absolute position of the token that is being chosen.
  RandomPurpose purpose = RandomPurpose::kSampling;  ///< What the numbers are for.
};

/// The four words that one call of the generator gives.
struct PhiloxBlock {
  std::uint32_t word[4];  ///< Independent uniform 32-bit integers.
};

namespace detail {

#if defined(__CUDA_ARCH__)
// Left to itself the compiler widens the whole cipher to 64 bits, a third more instructions.
RESET_HOST_DEVICE inline std::uint64_t multiply_wide_now(std::uint32_t a, std::uint32_t b) noexcept {
  std::uint64_t product;
  asm("mul.wide.u32 %0, %1, %2;" : "=l"(product) : "r"(a), "r"(b));
  return product;
}
#endif

// All 64 bits of a product.
RESET_HOST_DEVICE constexpr std::uint64_t multiply_wide(std::uint32_t a, std::uint32_t b) noexcept {
#if defined(__CUDA_ARCH__)
  if (!__builtin_is_constant_evaluated()) return multiply_wide_now(a, b);
#endif
  return std::uint64_t{a} * b;
}

}  // namespace detail

/// Philox4x32 with ten rounds: `counter` enciphered under the 64-bit `key` (low word first).
RESET_HOST_DEVICE constexpr PhiloxBlock philox4x32_10(PhiloxBlock counter, std::uint64_t key) noexcept {
  constexpr std::uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;
  std::uint32_t key0 = static_cast<std::uint32_t>(key);
  std::uint32_t key1 = static_cast<std::uint32_t>(key >> 32);
  std::uint32_t c0 = counter.word[0], c1 = counter.word[1], c2 = counter.word[2], c3 = counter.word[3];
#if defined(__CUDA_ARCH__)
#pragma unroll
#endif
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = detail::multiply_wide(kMultiplier0, c0);
    const std::uint64_t product1 = detail::multiply_wide(kMultiplier1, c2);
    c0 = static_cast<std::uint32_t>(product1 >> 32) ^ c1 ^ key0;
    c1 = static_cast<std::uint32_t>(product1);
    c2 = static_cast<std::uint32_t>(product0 >> 32) ^ c3 ^ key1;
    c3 = static_cast<std::uint32_t>(product0);
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return {{c0, c1, c2, c3}};
}

/// Where a token's random word stands: one block serves four ids that are 256 apart in a chunk of 1,024, so that
/// neighbouring lanes take neighbouring ids and no lane wastes a word.
struct RandomSlot {
  std::uint32_t block;  ///< Which call of the generator.
  std::uint32_t word;   ///< Which of its four words.
};

/// The slot of token `id` >= 0: block = 256 (id / 1024) + id % 256, word = (id / 256) % 4.
RESET_HOST_DEVICE constexpr RandomSlot random_slot(std::int32_t id) noexcept {
  const std::uint32_t u = static_cast<std::uint32_t>(id);
  return {((u >> 10) << 8) | (u & 255u), (u >> 8) & 3u};
}

namespace detail {
inline namespace RESET_INSTRUCTION_SET {

// The top bit of the purpose word tells the extension of a tail from the first 32 bits, the next one the noises of
// chunks from those of tokens.
inline constexpr std::uint32_t kTailStream = 0x80000000u;
inline constexpr std::uint32_t kChunkStream = 0x40000000u;

RESET_HOST_DEVICE constexpr PhiloxBlock random_block(const RandomKey& key, std::uint32_t block,
                                                     std::uint32_t stream = 0) noexcept {
  const std::uint64_t position = static_cast<std::uint64_t>(key.position);
  return philox4x32_10({{block, static_cast<std::uint32_t>(position), static_cast<std::uint32_t>(position >> 32),
                         static_cast<std::uint32_t>(key.purpose) | stream}},
                       key.seed);
}

// First words below this one are extended to 64 bits: one in 2^16, and all that 32 bits resolve coarsely.
inline constexpr std::uint32_t kTailWord = 0x10000u;

// Where a noise's random word stands, and in which stream.
struct NoisePlace {
  RandomSlot slot;
  std::uint32_t stream;
};

RESET_HOST_DEVICE constexpr NoisePlace token_place(std::int32_t id) noexcept { return {random_slot(id), 0}; }

RESET_HOST_DEVICE constexpr NoisePlace chunk_place(std::uint32_t chunk) noexcept {
  return {{chunk >> 2, chunk & 3u}, kChunkStream};
}

// v of `gumbel_noise` from the first word at a place; exact.
RESET_HOST_DEVICE inline double tail_uniform(const RandomKey& key, const NoisePlace& place,
                                             std::uint32_t word) noexcept {
  if (word >= kTailWord) return (static_cast<double>(word) + 0.5) * 0x1p-32;
  const std::uint64_t low = random_block(key, place.slot.block, place.stream | kTailStream).word[place.slot.word];
  return (static_cast<double>((static_cast<std::uint64_t>(word) << 32) | low) + 0.5) * 0x1p-64;
}

RESET_HOST_DEVICE inline double gumbel_from_word(const RandomKey& key, const NoisePlace& place,
                                                 std::uint32_t word) noexcept {
  return -exact_log(exact_minus_log1m(tail_uniform(key, place, word)));
}

RESET_HOST_DEVICE inline double gumbel_at(const RandomKey& key, const NoisePlace& place) noexcept {
  return gumbel_from_word(key, place, random_block(key, place.slot.block, place.stream).word[place.slot.word]);
}

// The largest Gumbel noise that any word can give is 45.06.
inline constexpr float kGumbelMax = 45.1f;

/// An upper bound on the noise of a word by integer arithmetic alone, at most 0.8 too high for words above 2 and
/// within 1e-4 of being a bound: -log(-log(1-v)) <= -log v, and a float's bits bound its logarithm.
RESET_HOST_DEVICE inline float gumbel_bound(std::uint32_t word) noexcept {
  const std::int32_t bits =
      static_cast<std::int32_t>(bits_of(static_cast<float>(static_cast<std::int32_t>(word >> 1))));
  return (158.0f * kLn2Float) - static_cast<float>(bits) * (kLn2Float * 0x1p-23f);
}

}  // namespace RESET_INSTRUCTION_SET
}  // namespace detail

/// A uniform number, open at both ends: one of the 2^52 odd multiples of 2^-53. `index` tells the numbers of one key
/// apart (0 where only one is needed). It is made of the words of block `index`, as the noises of four token ids are:
/// whoever needs both independent takes keys of different purposes.
RESET_HOST_DEVICE inline double random_uniform(const RandomKey& key, std::uint32_t index = 0) noexcept {
  const PhiloxBlock block = detail::random_block(key, index);
  const std::uint64_t bits = (static_cast<std::uint64_t>(block.word[0]) << 20) | (block.word[1] >> 12);
  return (static_cast<double>(bits) + 0.5) * 0x1p-52;
}

/// The standard Gumbel noise of token `id`: g = -log(-log(1 - v)).
///
/// With r the 32-bit word at `random_slot(id)` of counter (block, position low, position high, purpose) under the key
/// `seed`: v = (r + 1/2) 2^-32 if r >= 2^16; otherwise 32 more bits e are drawn, the word at the same slot with the top
/// bit of the purpose set, and v = (2^32 r + e + 1/2) 2^-64. Small v, which win, are resolved to 2^-65; v is never 0 or
/// 1, and -3.2 < g < 45.1. Logarithms are `exact_log`, so g has the same bits everywhere.
RESET_HOST_DEVICE inline double gumbel_noise(const RandomKey& key, std::int32_t id) noexcept {
  return detail::gumbel_at(key, detail::token_place(id));
}

/// The standard Gumbel noise of chunk `chunk` of a row, the ids [1024 chunk, 1024 (chunk + 1)): as that of a token, but
/// of word chunk % 4 of block chunk / 4 with the second highest bit of the purpose set.
RESET_HOST_DEVICE inline double chunk_noise(const RandomKey& key, std::uint32_t chunk) noexcept {
  return detail::gumbel_at(key, detail::chunk_place(chunk));
}

/// The score of token `id` with logit x at temperature T > 1e-6: x / T + g in double, each operation rounded once. Of
/// some tokens the one with the highest score is a sample of softmax(x / T) over them; of equal scores the lowest id
/// wins.
RESET_HOST_DEVICE inline double gumbel_score(float x, float temperature, double noise) noexcept {
  return detail::add_rn(detail::div_rn(static_cast<double>(x), static_cast<double>(temperature)), noise);
}

/// The score of a chunk whose logits have the maximum m and the mass S = sum e^((x - m) / T): m / T + log S + g, each
/// operation rounded once.
///
/// A whole row is sampled by two races: the chunk of the highest score is drawn with the probability of its tokens
/// together, since the highest of Gumbel noises around x / T is one around log sum e^(x / T); in that chunk the token
/// of the highest `gumbel_score`. So a row costs one noise a chunk and those of one chunk's tokens. What truncation
/// leaves is few, and races token by token.
RESET_HOST_DEVICE inline double chunk_score(float max, float temperature, double mass, double noise) noexcept {
  const double scaled = detail::div_rn(static_cast<double>(max), static_cast<double>(temperature));
  return detail::add_rn(detail::add_rn(scaled, detail::exact_log(mass)), noise);
}

namespace detail {
inline namespace RESET_INSTRUCTION_SET {

/// What a token adds to its chunk's mass in `chunk_score`. The mass is the sum over b = 0..255, in the tree that joins
/// neighbours, of what ids b, b + 256, b + 512 and b + 768 of the chunk add: (first + second) + (third + fourth).
RESET_HOST_DEVICE inline double mass_of_token(float x, float max, float temperature) noexcept {
  const double distance = add_rn(static_cast<double>(x), -static_cast<double>(max));
  return exact_exp(div_rn(distance, static_cast<double>(temperature)));
}

}  // namespace RESET_INSTRUCTION_SET
}  // namespace detail

RESET_NAMESPACE_END
