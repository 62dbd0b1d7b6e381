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
  const double top = reset::detail::gumbel_from_word(key, 5, 0);
  const double bottom = reset::detail::gumbel_from_word(key, 5, 0xffffffffu);
  CHECK(top > 22.0);
  CHECK(top < 45.1);
  CHECK(std::abs(bottom + std::log(33.0 * std::log(2.0))) < 1e-9);
  // Words whose noise 32 bits would resolve coarsely are extended: neighbours differ within one word.
  CHECK(reset::detail::gumbel_from_word(key, 6, 0) != top);
  CHECK(reset::detail::gumbel_from_word(key, 6, 0x10000u) == reset::detail::gumbel_from_word(key, 5, 0x10000u));
  for (const std::uint32_t word : {0x10000u, 0x12345678u, 0x80000000u, 0xdeadbeefu}) {
    const double v = (static_cast<double>(word) + 0.5) / 4294967296.0;
    CHECK(std::abs(reset::detail::gumbel_from_word(key, 0, word) + std::log(-std::log1p(-v))) < 1e-13);
  }
}

TEST_CASE("random: the integer bound never lies below the noise") {
  const RandomKey key{3, 4, RandomPurpose::kSampling};
  long violations = 0;
  double widest = 0.0;
  for (std::uint32_t i = 0; i < 400000; ++i) {
    const std::uint32_t word = i < 4096 ? i : i < 8192 ? ~(i - 4096u) : (i * 2654435761u) >> (i % 31u);
    const double noise = reset::detail::gumbel_from_word(key, static_cast<std::int32_t>(i % 1024u), word);
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
