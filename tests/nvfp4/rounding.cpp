#include <reset/detail/rounding.hpp>

#include <cmath>
#include <cstdint>
#include <random>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "support/catch.hpp"

namespace detail = reset::detail;

namespace {

// A float as integer * 2^exponent, decoded here so that nothing of the header under test is trusted.
struct Exact {
  std::int64_t significand;
  int exponent;
};

Exact decode(float x) {
  const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, x);
  const int field = static_cast<int>((bits >> 23) & 255);
  const std::int64_t fraction = bits & 0x7fffff;
  const std::int64_t magnitude = field == 0 ? fraction : fraction + 0x800000;
  return {(bits >> 31) != 0 ? -magnitude : magnitude, (field == 0 ? 1 : field) - 150};
}

double as_double(float x) {
  const Exact exact = decode(x);
  return std::ldexp(static_cast<double>(exact.significand), exact.exponent);
}

// Whether `result` is the float nearest to numerator / denominator, ties to even, by the size of the remainder. The
// products and the remainder are exact in double: 48 bits, with cancellation.
bool is_nearest_quotient(double numerator, double denominator, float result) {
  const Exact exact = decode(result);
  const double remainder = std::fabs(numerator - as_double(result) * denominator);
  const double half_ulp = std::ldexp(std::fabs(denominator), exact.exponent - 1);
  const bool at_power_of_two = std::llabs(exact.significand) == 0x800000 && exact.exponent > -149;
  const bool too_large = (numerator - as_double(result) * denominator) * as_double(result) * denominator < 0;
  const double limit = at_power_of_two && too_large ? half_ulp / 2 : half_ulp;
  return remainder < limit || (remainder == limit && exact.significand % 2 == 0);
}

// Random bits, with the exponent confined so that quotients and products visit normal and subnormal results.
float random_float(std::mt19937& random, int low_exponent, int high_exponent) {
  const std::uint32_t exponent =
      static_cast<std::uint32_t>(std::uniform_int_distribution<int>(low_exponent, high_exponent)(random));
  return detail::float_from_bits((static_cast<std::uint32_t>(random()) & 0x807fffffu) | (exponent << 23));
}

void check_divisions(int low, int high, int count) {
  std::mt19937 random(1);
  int wrong = 0;
  for (int i = 0; i < count; ++i) {
    const float x = random_float(random, low, high);
    const float y = random_float(random, 100, 154);
    wrong += !is_nearest_quotient(as_double(x), as_double(y), detail::div_rn(x, y));
    wrong += !is_nearest_quotient(as_double(x) * as_double(y), 1.0, detail::mul_rn(x, y));
  }
  CHECK(wrong == 0);
}

void check_sums(int low, int high, int count) {
  std::mt19937 random(2);
  int wrong = 0;
  for (int i = 0; i < count; ++i) {
    const float x = random_float(random, low, high);
    const float y = random_float(random, low, high);
    wrong += !is_nearest_quotient(as_double(x) + as_double(y), 1.0, detail::add_rn(x, y));
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("div_rn and mul_rn round once, to nearest even") { check_divisions(90, 164, 200000); }

TEST_CASE("div_rn and mul_rn are exact to the bit among subnormals") { check_divisions(0, 40, 200000); }

TEST_CASE("add_rn rounds once, to nearest even, subnormals included") {
  check_sums(100, 124, 200000);
  check_sums(0, 20, 200000);
}

#if defined(__SSE2__)
TEST_CASE("the rounding helpers do not flush on a processor that is set to") {
  const unsigned int saved = _mm_getcsr();
  _mm_setcsr(saved | 0x8040u);
  check_divisions(0, 40, 50000);
  check_sums(0, 20, 50000);
  _mm_setcsr(saved);
}
#endif

TEST_CASE("quotients near one half do not become reciprocal multiplications") {
  // 5 / 3 by way of a rounded reciprocal ends one ulp low in float; the divisor must not be a constant to fast-math.
  int wrong = 0;
  for (int numerator = 1; numerator < 3000; ++numerator) {
    for (const float denominator : {3.0f, 6.0f, 7.0f, 49.0f, 2688.0f}) {
      const float x = static_cast<float>(numerator);
      wrong += !is_nearest_quotient(as_double(x), as_double(denominator), detail::div_rn(x, denominator));
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("add_rn in double keeps the order of a compensated sum") {
  const double big = 1e16;
  const double sum = detail::add_rn(big, 1.0);
  const double error = detail::add_rn(1.0, -detail::add_rn(sum, -big));
  CHECK(sum == 1e16);
  CHECK(error == 1.0);
  CHECK(detail::mul_rn(detail::div_rn(1.0, 49.0), 49.0) != 1.0);
}

TEST_CASE("widen and narrow are inverse on every kind of float") {
  int wrong = 0;
  for (std::uint64_t bits = 0; bits <= 0xffffffffu; bits += 4093) {
    const float x = detail::float_from_bits(static_cast<std::uint32_t>(bits));
    if (detail::is_nan(x)) continue;
    wrong += detail::bits_of(detail::narrow(detail::widen(x))) != bits;
    if (detail::is_finite(x)) wrong += detail::bits_of(detail::widen(x)) != detail::bits_of(as_double(x)) && x != 0;
  }
  CHECK(wrong == 0);
  CHECK(detail::bits_of(detail::narrow(0x1.fffffefp127)) == 0x7f7fffffu);
  CHECK(detail::bits_of(detail::narrow(0x1.ffffffp127)) == 0x7f800000u);
  CHECK(detail::bits_of(detail::narrow(-0x1p-150)) == 0x80000000u);
  CHECK(detail::bits_of(detail::narrow(0x1.000002p-150)) == 1u);
}

TEST_CASE("NaN and infinity are told by their bits") {
  const float nan = detail::float_from_bits(0xffc00001u);
  const float inf = detail::float_from_bits(0xff800000u);
  CHECK((detail::is_nan(nan) && !detail::is_inf(nan) && !detail::is_finite(nan)));
  CHECK((!detail::is_nan(inf) && detail::is_inf(inf) && !detail::is_finite(inf)));
  CHECK((!detail::is_nan(1.0f) && !detail::is_inf(1.0f) && detail::is_finite(1.0f)));
  const double dnan = detail::double_from_bits(0x7ff8000000000000u);
  const double dinf = detail::double_from_bits(0xfff0000000000000u);
  CHECK((detail::is_nan(dnan) && !detail::is_inf(dnan) && !detail::is_finite(dnan)));
  CHECK((!detail::is_nan(dinf) && detail::is_inf(dinf) && !detail::is_finite(dinf)));
  CHECK((!detail::is_nan(1.0) && !detail::is_inf(1.0) && detail::is_finite(1.0)));
  CHECK(detail::is_nan(detail::div_rn(detail::float_from_bits(0), detail::float_from_bits(0))));
  CHECK(detail::is_inf(detail::div_rn(1.0f, detail::float_from_bits(0))));
}
