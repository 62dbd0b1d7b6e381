// The bit arithmetic of the kernels, for every pattern it can meet.
#include <cmath>
#include <cstdint>

#include "support/catch.hpp"

#include <reset/nvfp4/detail/decode_bits.hpp>
#include <reset/nvfp4/e2m1.hpp>
#include <reset/nvfp4/e4m3.hpp>

namespace {

int int8_at(std::uint32_t word, int i) { return static_cast<std::int8_t>(word >> (8 * i)); }

// Nibble i of codes, doubled: an integer.
int doubled(std::uint32_t codes, int i) {
  return static_cast<int>(2 * reset::e2m1_to_float(static_cast<std::uint8_t>(codes >> (4 * i) & 15)));
}

// A half's value by its definition, without its special exponent.
float half_value(std::uint32_t bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const int mantissa = static_cast<int>(bits & 1023);
  const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                                        : std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25);
  return (bits >> 15 & 1) != 0 ? -magnitude : magnitude;
}

}  // namespace

TEST_CASE("doubled int8 of every pattern of four codes") {
  int wrong = 0;
  for (std::uint32_t codes = 0; codes < 0x10000; ++codes) {
    // What stands in the upper half must not matter.
    const std::uint32_t word = codes | (codes * 2654435761u & 0xffff0000u);
    const std::uint32_t values = reset::detail::doubled_int8x4(word);
    const std::uint32_t positive = reset::detail::doubled_positive(word);
    const std::uint32_t negative = reset::detail::doubled_negative(word);
    for (int i = 0; i < 4; ++i) {
      const int expected = doubled(codes, i);
      wrong += int8_at(values, i) != expected;
      wrong += int8_at(positive, i) != (expected > 0 ? expected : 0);
      wrong += int8_at(negative, i) != (expected < 0 ? -expected : 0);
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("halves of every pattern of every byte") {
  const int element[4][2] = {{0, 4}, {2, 6}, {1, 5}, {3, 7}};
  int wrong = 0;
  for (std::uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
    const std::uint32_t words[] = {pattern, pattern << 16, pattern << 8, pattern * 0x10001u, ~pattern};
    for (const std::uint32_t codes : words) {
      const reset::detail::HalfPairs halves = reset::detail::half_pairs_by_bits(codes);
      for (int i = 0; i < 8; ++i) {
        const std::uint32_t bits = halves.pair[i / 2] >> (16 * (i % 2)) & 0xffff;
        const auto code = static_cast<std::uint8_t>(codes >> (4 * element[i / 2][i % 2]) & 15);
        wrong += half_value(bits) * 0x1p14f != reset::e2m1_to_float(code);
        wrong += (bits >> 15) != (code >> 3);
      }
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("integer dot of blocks is the exact dot product") {
  std::uint32_t state = 1;
  int wrong = 0;
  for (int round = 0; round < 20000; ++round) {
    std::uint32_t w[2];
    std::uint32_t x[2];
    for (std::uint32_t* word : {w, w + 1, x, x + 1}) *word = state = state * 1664525u + 1013904223u;
    int expected = 0;
    int found = 0;
    for (int i = 0; i < 16; ++i) expected += doubled(w[i / 8], i % 8) * doubled(x[i / 8], i % 8);
    for (int i = 0; i < 4; ++i) {
      const int shift = 16 * (i % 2);
      found = reset::detail::dot_int8x4(reset::detail::doubled_int8x4(w[i / 2] >> shift),
                                        reset::detail::doubled_int8x4(x[i / 2] >> shift), found);
    }
    wrong += found != expected;
  }
  CHECK(wrong == 0);
}

TEST_CASE("permute_bytes picks bytes and replicates signs") {
  CHECK(reset::detail::permute_bytes(0x03020100u, 0x07060504u, 0x7531u) == 0x07050301u);
  CHECK(reset::detail::permute_bytes(0x80000000u, 0x0000007fu, 0xfcb3u) == 0x0000ff80u);
}

TEST_CASE("halves of every pair of block scales") {
  int wrong = 0;
  for (std::uint32_t codes = 0; codes < 0x10000; ++codes) {
    // What stands in the upper half must not matter.
    const std::uint32_t halves = reset::detail::e4m3_pair_by_bits(codes | (codes * 2654435761u & 0xffff0000u));
    for (int i = 0; i < 2; ++i) {
      const auto code = static_cast<std::uint8_t>(codes >> (8 * i));
      const std::uint32_t bits = halves >> (16 * i) & 0xffffu;
      wrong += (bits >> 15) != (code >> 7);
      if ((code & 0x7f) == 0x7f) {
        wrong += (bits >> 10 & 31) != 31 || (bits & 1023) == 0;  // a NaN
      } else {
        wrong += half_value(bits) * 0x1p8f != reset::e4m3_to_float(code);
      }
    }
  }
  CHECK(wrong == 0);
}
