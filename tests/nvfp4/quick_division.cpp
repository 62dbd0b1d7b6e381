// What the device's quantisers compute in place of divisions, against the divisions.
#include <cstdint>
#include <random>

#include <reset/nvfp4/detail/quantize_block.hpp>
#include <reset/nvfp4/detail/quick_division.hpp>
#include <reset/nvfp4/e2m1.hpp>
#include <reset/nvfp4/e4m3.hpp>
#include <reset/nvfp4/matrix.hpp>

#include "support/catch.hpp"

namespace detail = reset::detail;
using detail::float_from_bits;

namespace {

constexpr std::uint32_t kOctave = 1u << 23;  // floats of one

std::uint32_t bits(float x) { return detail::bits_of(x); }

// A float of any significand, from 2^low up to 2^high.
float any_float(std::mt19937& random, int low, int high) {
  const auto exponent = static_cast<std::uint32_t>(127 + low) +
                        static_cast<std::uint32_t>(random()) % static_cast<std::uint32_t>(high - low);
  return float_from_bits(exponent << 23 | (static_cast<std::uint32_t>(random()) & 0x7fffffu));
}

float moved_by(float x, int places) { return float_from_bits(bits(x) + static_cast<std::uint32_t>(places)); }
float moved(float x, std::mt19937& random) { return moved_by(x, static_cast<int>(random() % 9) - 4); }

float quotient(float x, float divisor) {
  return detail::QuotientByReciprocal{divisor, detail::reciprocal_rn(divisor)}(x);
}

std::uint32_t different_codes(std::uint64_t first, std::uint64_t end, std::uint64_t step) {
  std::uint32_t count = 0;
  for (std::uint64_t i = first; i < end; i += step) {
    const float x = float_from_bits(static_cast<std::uint32_t>(i));
    count += detail::code_of_magnitude(x) != reset::float_to_e2m1(x) ? 1u : 0u;
  }
  return count;
}

}  // namespace

// Every float in the octaves where codes change, and a share of all others, infinity and NaN among them.
TEST_CASE("codes of quotients are those of the codec") {
  CHECK(different_codes(bits(0.125f), bits(8.0f), 1) == 0);
  CHECK(different_codes(0, 0x80000000u, 1021) == 0);
  CHECK(different_codes(detail::kFloatInfinity - 64, detail::kFloatInfinity + 1, 1) == 0);
}

TEST_CASE("a sixth needs one remainder") {
  std::uint32_t wrong = 0;
  // Of every significand in one octave, which is all there is to see but for the ends.
  for (std::uint32_t i = 0; i < kOctave; ++i) {
    const float x = float_from_bits(bits(1.0f) + i);
    wrong += bits(detail::sixth_of(x)) != bits(detail::div_rn(x, 6.0f)) ? 1u : 0u;
  }
  for (const float begin : {0x1p-60f, 0x1p59f}) {
    for (std::uint32_t i = 0; i < kOctave; i += 61) {
      const float x = float_from_bits(bits(begin) + i);
      wrong += bits(detail::sixth_of(x)) != bits(detail::div_rn(x, 6.0f)) ? 1u : 0u;
    }
  }
  CHECK(wrong == 0);
  CHECK(bits(detail::sixth_of(0.0f)) == 0);
}

// All denominators with all estimates, and all e of the octaves in which one sum has few of them, each with one of the
// estimates. The device goes through every e with its own.
TEST_CASE("quotients of a sigmoid are those by division, whatever the estimate's last two places") {
  std::uint32_t wrong = 0;
  for (std::uint32_t i = 0; i <= kOctave; ++i) {
    const float y = float_from_bits(bits(1.0f) + i);
    const std::uint32_t reciprocal = bits(detail::div_rn(1.0f, y));
    for (int off = -2; off <= 2; ++off) {
      wrong += bits(detail::sigmoid_quotient(1.0f, y, moved_by(1.0f / y, off))) != reciprocal ? 1u : 0u;
    }
  }
  for (std::uint32_t i = 0; i <= 2 * kOctave; ++i) {
    const float e = float_from_bits(bits(0.25f) + i);
    const float y = detail::add_rn(1.0f, e);
    const float estimate = moved_by(1.0f / y, static_cast<int>(i % 5) - 2);
    wrong += bits(detail::sigmoid_quotient(e, y, estimate)) != bits(detail::div_rn(e, y)) ? 1u : 0u;
  }
  CHECK(wrong == 0);
}

TEST_CASE("block scales without divisions have the codes of those with them, around ties, too") {
  std::mt19937 random(3);
  std::uint32_t quick = 0;
  std::uint32_t wrong = 0;
  for (int i = 0; i < 2'000'000; ++i) {
    const reset::GlobalScale global{any_float(random, -61, 61)};
    const auto code = static_cast<std::uint8_t>(random() % 126);
    const double tie = 0.5 * (static_cast<double>(reset::e4m3_to_float(code)) +
                              static_cast<double>(reset::e4m3_to_float(static_cast<std::uint8_t>(code + 1))));
    const float near_tie = moved(static_cast<float>(tie * 6 * static_cast<double>(global.value)), random);
    const float amax = i % 4 == 0 ? any_float(random, -61, 61) : near_tie;
    if (detail::scale_wants_division(amax, global.value)) continue;
    ++quick;
    const float found = detail::quick_scale(amax, {global.value, detail::reciprocal_rn(global.value)});
    wrong += reset::float_to_e4m3(found) != reset::float_to_e4m3(detail::unrounded_scale(amax, global)) ? 1u : 0u;
  }
  CHECK(wrong == 0);
  CHECK(quick > 1'800'000);
}

TEST_CASE("quotients by the reciprocal have the codes of those by division, around ties, too") {
  constexpr float kTies[] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};
  std::mt19937 random(4);
  std::uint32_t wrong = 0;
  for (int i = 0; i < 2'000'000; ++i) {
    const float step = any_float(random, -90, 90);
    const bool near_tie = i % 4 != 0;
    const float x = near_tie ? moved(kTies[random() % 7] * step, random) : any_float(random, -90, 90);
    wrong += detail::code_of_magnitude(float_from_bits(bits(quotient(x, step)) & detail::kFloatMagnitude)) !=
                     detail::code_of_magnitude(detail::div_rn(x, step))
                 ? 1u
                 : 0u;
  }
  CHECK(wrong == 0);
}
