// What the two formats are, without an oracle: hand-written values, and rounding told by distances.
#include <cmath>
#include <cstdint>
#include <vector>

#include <reset/nvfp4/e2m1.hpp>
#include <reset/nvfp4/e4m3.hpp>

#include "nvfp4/codec_cases.hpp"
#include "support/catch.hpp"

using codec_cases::from_bits;
using codec_cases::to_bits;
using reset::e2m1_to_float;
using reset::e4m3_to_float;
using reset::float_to_e2m1;
using reset::float_to_e4m3;
using reset::float_to_e4m3_toward_zero;

TEST_CASE("E2M1 has the eight magnitudes of the standard, and a sign") {
  const float magnitudes[8] = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
  for (std::uint8_t code = 0; code < 8; ++code) {
    CHECK(to_bits(e2m1_to_float(code)) == to_bits(magnitudes[code]));
    CHECK(to_bits(e2m1_to_float(static_cast<std::uint8_t>(code | 8))) == (to_bits(magnitudes[code]) | 0x80000000u));
  }
  STATIC_REQUIRE(e2m1_to_float(0xd) == -3.0f);
  STATIC_REQUIRE(float_to_e2m1(-2.5f) == 0xc);
}

TEST_CASE("E4M3 has the values that its bits spell") {
  for (int code = 0; code < 127; ++code) {
    const int exponent = code >> 3;
    const double value = exponent == 0 ? std::ldexp(code & 7, -9) : std::ldexp(8 + (code & 7), exponent - 10);
    CHECK(static_cast<double>(e4m3_to_float(static_cast<std::uint8_t>(code))) == value);
    CHECK(static_cast<double>(e4m3_to_float(static_cast<std::uint8_t>(code | 128))) == -value);
  }
  STATIC_REQUIRE(e4m3_to_float(0x7e) == reset::kE4M3Max);
  STATIC_REQUIRE(e4m3_to_float(0x01) == 0x1p-9f);
  STATIC_REQUIRE(float_to_e4m3(449.0f) == 0x7e);
  CHECK((to_bits(e4m3_to_float(0x7f)) & 0x7fffffffu) > 0x7f800000u);
  CHECK(to_bits(e4m3_to_float(0xff)) == 0xffc00000u);
}

TEST_CASE("every code survives the way to float and back") {
  for (int code = 0; code < 256; ++code) {
    const auto byte = static_cast<std::uint8_t>(code);
    CHECK(float_to_e2m1(e2m1_to_float(byte)) == (code & 15));
    if ((code & 0x7f) == 0x7f) continue;
    CHECK(float_to_e4m3(e4m3_to_float(byte)) == code);
    CHECK(float_to_e4m3_toward_zero(e4m3_to_float(byte)) == code);
  }
}

TEST_CASE("rounding toward zero gives the largest E4M3 magnitude that does not exceed x") {
  int wrong = 0;
  for (const float x : codec_cases::boundaries(e4m3_to_float, 0x7e)) {
    const std::uint32_t magnitude = to_bits(x) & 0x7fffffffu;
    const std::uint8_t sign = static_cast<std::uint8_t>(to_bits(x) >> 31 << 7);
    if (magnitude > 0x7f800000u) {
      wrong += float_to_e4m3_toward_zero(x) != 0x7f;
      continue;
    }
    std::uint8_t expected = 0;  // The bits of positive floats are ordered as the floats are.
    while (expected < 0x7e && to_bits(e4m3_to_float(static_cast<std::uint8_t>(expected + 1))) <= magnitude) ++expected;
    wrong += float_to_e4m3_toward_zero(x) != (expected | sign);
  }
  CHECK(wrong == 0);
}

TEST_CASE("special values saturate or keep their sign as documented") {
  CHECK(float_to_e2m1(from_bits(0x7f800000u)) == 0x7);
  CHECK(float_to_e2m1(from_bits(0xff800000u)) == 0xf);
  CHECK(float_to_e2m1(from_bits(0xffc00000u)) == 0x7);
  CHECK(float_to_e2m1(from_bits(0x80000000u)) == 0x8);
  CHECK(float_to_e2m1(from_bits(0x80000001u)) == 0x8);
  CHECK(float_to_e4m3(from_bits(0x7f800000u)) == 0x7e);
  CHECK(float_to_e4m3(from_bits(0xff800000u)) == 0xfe);
  CHECK(float_to_e4m3(from_bits(0xffc00000u)) == 0x7f);
  CHECK(float_to_e4m3(from_bits(0x80000000u)) == 0x80);
  CHECK(float_to_e4m3_toward_zero(from_bits(0xff800000u)) == 0xfe);
}
