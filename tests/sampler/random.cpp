#include <reset/sampler/random.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "sampler_support.hpp"
#include "support/catch.hpp"

using reset::PhiloxBlock;
using reset::RandomKey;
using reset::RandomPurpose;

namespace {

// A word of a Philox4x32 whose counter is (block, position low, position high, purpose), the definition in words of its
// own.
std::uint32_t reference_word(const RandomKey& key, std::int32_t block, std::int32_t word, std::uint64_t stream) {
  const std::uint64_t position = static_cast<std::uint64_t>(key.position);
  std::vector<std::uint64_t> x = {static_cast<std::uint64_t>(block), position % 4294967296u, position / 4294967296u,
                                  static_cast<std::uint64_t>(key.purpose) + stream};
  std::uint64_t k[2] = {key.seed % 4294967296u, key.seed / 4294967296u};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = x[0] * 0xD2511F53u, b = x[2] * 0xCD9E8D57u;
    x = {(b / 4294967296u) ^ x[1] ^ k[0], b % 4294967296u, (a / 4294967296u) ^ x[3] ^ k[1], a % 4294967296u};
    k[0] = (k[0] + 0x9E3779B9u) % 4294967296u;
    k[1] = (k[1] + 0xBB67AE85u) % 4294967296u;
  }
  return static_cast<std::uint32_t>(x[static_cast<std::size_t>(word)]);
}

// The Gumbel noise of a word and, where it is of the tail, another one.
double reference_gumbel(std::uint32_t word, std::uint32_t more) {
  double v = std::ldexp(static_cast<double>(word) + 0.5, -32);
  if (word < 65536) v = std::ldexp(static_cast<double>(word) + std::ldexp(static_cast<double>(more) + 0.5, -32), -32);
  return -std::log(-std::log1p(-v));
}

double reference_noise(const RandomKey& key, std::int32_t id, std::uint32_t word) {
  const std::int32_t block = id / 1024 * 256 + id % 256;
  return reference_gumbel(word, reference_word(key, block, id % 1024 / 256, 0x80000000u));
}

double reference_noise(const RandomKey& key, std::int32_t id) {
  const std::int32_t block = id / 1024 * 256 + id % 256;
  return reference_noise(key, id, reference_word(key, block, id % 1024 / 256, 0));
}

double reference_chunk_noise(const RandomKey& key, std::int32_t chunk) {
  const auto word = [&](std::uint64_t stream) { return reference_word(key, chunk / 4, chunk % 4, stream); };
  return reference_gumbel(word(0x40000000u), word(0xc0000000u));
}

bool same(const PhiloxBlock& a, const PhiloxBlock& b) { return std::equal(a.word, a.word + 4, b.word); }

}  // namespace

TEST_CASE("random: Philox4x32-10 gives the published known answers") {
  // Random123, kat_vectors.
  constexpr std::uint32_t kOnes = 0xffffffffu;
  CHECK(same(reset::philox4x32_10({{0, 0, 0, 0}}, 0), {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}));
  CHECK(same(reset::philox4x32_10({{kOnes, kOnes, kOnes, kOnes}}, ~std::uint64_t{0}),
             {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}));
  constexpr PhiloxBlock pi =
      reset::philox4x32_10({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0x299f31d0a4093822ull);
  CHECK(same(pi, {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}));
}

TEST_CASE("random: every token of a chunk has a word of its own") {
  std::vector<int> used(4 * 1024, 0);
  for (std::int32_t id = 0; id < 4096; ++id) {
    const reset::RandomSlot slot = reset::random_slot(id);
    REQUIRE(slot.word < 4);
    REQUIRE(slot.block < 1024);
    ++used[slot.block * 4 + slot.word];
    CHECK(slot.block / 256 == static_cast<std::uint32_t>(id) / 1024);
  }
  CHECK(std::count(used.begin(), used.end(), 1) == 4096);
}

TEST_CASE("random: seed, position, purpose and token all matter, and nothing else does") {
  const RandomKey key{42, 7, RandomPurpose::kSampling};
  const double g = reset::gumbel_noise(key, 100);
  CHECK(reset::gumbel_noise(key, 100) == g);
  CHECK(reset::gumbel_noise(key, 101) != g);
  CHECK(reset::gumbel_noise({43, 7, RandomPurpose::kSampling}, 100) != g);
  CHECK(reset::gumbel_noise({42 + (std::uint64_t{1} << 32), 7, RandomPurpose::kSampling}, 100) != g);
  CHECK(reset::gumbel_noise({42, 8, RandomPurpose::kSampling}, 100) != g);
  CHECK(reset::gumbel_noise({42, 7 + (std::int64_t{1} << 32), RandomPurpose::kSampling}, 100) != g);
  const RandomPurpose others[] = {RandomPurpose::kDrafting, RandomPurpose::kAccepting, RandomPurpose::kResidual};
  for (const RandomPurpose purpose : others) {
    CHECK(reset::gumbel_noise({42, 7, purpose}, 100) != g);
    CHECK(reset::random_uniform({42, 7, purpose}) != reset::random_uniform(key));
  }
  CHECK(reset::random_uniform(key, 1) != reset::random_uniform(key));
}

TEST_CASE("random: the noise is finite at both ends of its words and follows its definition") {
  const RandomKey key{1, 2, RandomPurpose::kSampling};
  const double top = reset::detail::gumbel_from_word(key, reset::detail::token_place(5), 0);
  const double bottom = reset::detail::gumbel_from_word(key, reset::detail::token_place(5), 0xffffffffu);
  CHECK(top > 22.0);
  CHECK(top < 45.1);
  CHECK(std::abs(bottom + std::log(33.0 * std::log(2.0))) < 1e-9);
  // Words whose noise 32 bits would resolve coarsely are extended: neighbours differ within one word.
  CHECK(reset::detail::gumbel_from_word(key, reset::detail::token_place(6), 0) != top);
  CHECK(reset::detail::gumbel_from_word(key, reset::detail::token_place(6), 0x10000u) ==
        reset::detail::gumbel_from_word(key, reset::detail::token_place(5), 0x10000u));
  for (const std::uint32_t word : {0x10000u, 0x12345678u, 0x80000000u, 0xdeadbeefu}) {
    const double v = (static_cast<double>(word) + 0.5) / 4294967296.0;
    CHECK(std::abs(reset::detail::gumbel_from_word(key, reset::detail::token_place(0), word) +
                   std::log(-std::log1p(-v))) < 1e-13);
  }
}

TEST_CASE("random: the noise is that of its definition, at every place of a block, position and purpose") {
  const std::uint64_t seeds[] = {0, 42, 0x0123456789abcdefu, ~std::uint64_t{0}};
  const std::int64_t positions[] = {0, 7, 0xffffffff, (std::int64_t{5} << 32) + 9, 0x7ffffffffffffffe};
  double worst = 0.0, worst_tail = 0.0;
  for (const std::uint64_t seed : seeds) {
    for (const std::int64_t position : positions) {
      for (std::uint32_t purpose = 0; purpose < 4; ++purpose) {
        const RandomKey key{seed, position, static_cast<RandomPurpose>(purpose)};
        for (const std::int32_t id : {0, 1, 255, 256, 512, 768, 1023, 1024, 1024 + 5, 151935, 0x7fffffff}) {
          worst = std::max(worst, std::abs(reset::gumbel_noise(key, id) - reference_noise(key, id)));
          // Few words are of the tail, so it is asked about directly.
          for (const std::uint32_t word : {0u, 1u, 77u, 0xffffu}) {
            const double found = reset::detail::gumbel_from_word(key, reset::detail::token_place(id), word);
            worst_tail = std::max(worst_tail, std::abs(found - reference_noise(key, id, word)));
          }
        }
      }
    }
  }
  CHECK(worst < 1e-13);
  CHECK(worst_tail < 1e-13);
}

TEST_CASE("random: the noise of a chunk is that of its definition, and none of its tokens'") {
  double worst = 0.0;
  int tails = 0;
  for (std::int64_t position = 0; position < 60000; ++position) {
    const RandomKey key{0x0123456789abcdefu, position, RandomPurpose::kSampling};
    for (const std::uint32_t chunk : {0u, 1u, 2u, 3u, 4u, 148u, 255u, 0x1fffffu}) {
      const auto place = reset::detail::chunk_place(chunk);
      const std::uint32_t word = reset::detail::random_block(key, place.slot.block, place.stream).word[place.slot.word];
      tails += word < 65536 ? 1 : 0;
      if (word >= 65536 && position >= 500) continue;
      const double noise = reset::chunk_noise(key, chunk);
      worst = std::max(worst, std::abs(noise - reference_chunk_noise(key, static_cast<std::int32_t>(chunk))));
      REQUIRE(noise != reset::gumbel_noise(key, static_cast<std::int32_t>(chunk)));
    }
  }
  CHECK(worst < 1e-13);
  CHECK(tails > 0);
}

TEST_CASE("random: the score of a chunk is that of its logits' sum") {
  const double score = reset::chunk_score(3.0f, 0.5f, 4.0, 0.25);
  CHECK(std::abs(score - (3.0 / 0.5 + std::log(4.0) + 0.25)) < 1e-14);
  CHECK(reset::detail::mass_of_token(3.0f, 3.0f, 0.5f) == 1.0);
  CHECK(std::abs(reset::detail::mass_of_token(2.0f, 3.0f, 0.5f) - std::exp(-2.0)) < 1e-16);
  CHECK(reset::detail::mass_of_token(-sampler_test::kInfinity, 3.0f, 1e30f) == 0.0);
}

TEST_CASE("random: tokens whose word is of the tail take the next 32 bits from their own place") {
  int tails = 0;
  double worst = 0.0;
  for (std::int64_t position = 0; position < 8; ++position) {
    const RandomKey key{42, position, RandomPurpose::kResidual};
    for (std::int32_t id = 0; id < 151936; ++id) {
      const reset::RandomSlot slot = reset::random_slot(id);
      if (reset::detail::random_block(key, slot.block).word[slot.word] >= 65536) continue;
      ++tails;
      worst = std::max(worst, std::abs(reset::gumbel_noise(key, id) - reference_noise(key, id)));
    }
  }
  CHECK(tails > 4);
  CHECK(worst < 1e-13);
}

TEST_CASE("random: noises computed elsewhere") {
  const auto check = [](const RandomKey& key, std::int32_t id, double noise) {
    CAPTURE(key.seed, key.position, id);
    CHECK(std::abs(reset::gumbel_noise(key, id) - noise) < 1e-13);
  };
  check({42, 7, RandomPurpose::kSampling}, 0, -0.39017876360818515);
  check({42, 7, RandomPurpose::kSampling}, 256, 0.6526261755891376);
  check({42, 7, RandomPurpose::kDrafting}, 512, 0.6168964987520541);
  check({42, 7, RandomPurpose::kAccepting}, 768, 1.2410293470291929);
  check({0x0123456789abcdefu, (std::int64_t{5} << 32) + 9, RandomPurpose::kResidual}, 1029, 1.0575135063916508);
  check({~std::uint64_t{0}, (std::int64_t{1} << 62) + 3, RandomPurpose::kSampling}, 151935, 1.8105736909296877);
  // These are of the tail.
  check({42, 5, RandomPurpose::kSampling}, 3838, 11.707970670655929);
  check({42, 20, RandomPurpose::kSampling}, 16221, 13.00177035778642);
}

TEST_CASE("random: the integer bound never lies below the noise") {
  const RandomKey key{3, 4, RandomPurpose::kSampling};
  long violations = 0;
  double widest = 0.0;
  for (std::uint32_t i = 0; i < 400000; ++i) {
    const std::uint32_t word = i < 4096 ? i : i < 8192 ? ~(i - 4096u) : (i * 2654435761u) >> (i % 31u);
    const double noise =
        reset::detail::gumbel_from_word(key, reset::detail::token_place(static_cast<std::int32_t>(i % 1024u)), word);
    const double bound = static_cast<double>(reset::detail::gumbel_bound(word));
    violations += noise > bound + 1e-4 ? 1 : 0;
    if (word > 2 && word < 0x10000000u) widest = std::max(widest, bound - noise);
  }
  CHECK(violations == 0);
  CHECK(widest < 0.8);
}

TEST_CASE("random: noise and uniforms have the moments of their distributions") {
  constexpr int kDraws = 200000;
  double sum = 0.0, squares = 0.0, uniform = 0.0, low = 1.0, high = 0.0;
  for (int i = 0; i < kDraws; ++i) {
    const RandomKey key{99, i, RandomPurpose::kSampling};
    const double g = reset::gumbel_noise(key, i % 151936);
    const double u = reset::random_uniform({99, i, RandomPurpose::kAccepting});
    sum += g;
    squares += g * g;
    uniform += u;
    low = std::min(low, u);
    high = std::max(high, u);
  }
  const double mean = sum / kDraws;
  constexpr double kEuler = 0.5772156649, kVariance = 1.6449340668;
  CHECK(std::abs(mean - kEuler) < 0.015);
  CHECK(std::abs(squares / kDraws - mean * mean - kVariance) < 0.05);
  CHECK(std::abs(uniform / kDraws - 0.5) < 0.004);
  CHECK(low > 0.0);
  CHECK(high < 1.0);
}
