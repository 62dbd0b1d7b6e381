#include <algorithm>

#include <reset/sampler/boundary/entropy_shift.hpp>

#include "boundary_support.hpp"
#include "support/catch.hpp"

using namespace boundary_test;

namespace {

std::string shifts(const reset::EntropyShift& detector, const std::vector<float>& entropies) {
  reset::EntropyShift::State state = detector.initial_state();
  std::string marks;
  for (const float entropy : entropies) marks += detector.observe(state, event(1, entropy)).boundary ? '|' : '.';
  return marks;
}

// The formula as documented, over the list of entropies since the last boundary. Only called on finite ones.
std::string by_definition(const reset::EntropyShiftParams& params, const std::vector<float>& entropies) {
  std::string marks;
  std::vector<double> step;
  double up = 0;
  double down = 0;
  for (const float entropy : entropies) {
    step.push_back(static_cast<double>(entropy));
    const std::size_t n = step.size();
    if (n > static_cast<std::size_t>(params.baseline)) {
      double mean = 0;
      for (std::size_t i = 0; i + 1 < n; ++i) mean += step[i];
      mean /= static_cast<double>(n - 1);
      up = std::max(0.0, up + (step[n - 1] - mean) - params.drift);
      down = std::max(0.0, down - (step[n - 1] - mean) - params.drift);
    }
    const bool boundary = up > params.threshold || down > params.threshold;
    if (boundary) {
      step.clear();
      up = down = 0;
    }
    marks += boundary ? '|' : '.';
  }
  return marks;
}

}  // namespace

TEST_CASE("a rise and a fall of the entropy are boundaries") {
  const reset::EntropyShift detector({0.25, 1.0, 2});
  // n = 3: U = 2 - 1 - .25 = .75; n = 4: U = .75 + (2 - 4/3) - .25 = 1.17. Then a fall from 2 to 1, the same way.
  CHECK(shifts(detector, {1, 1, 2, 2, 2, 2, 1, 1, 1}) == "...|...|.");
  CHECK(shifts(detector, {1, 1, 3}) == "..|");
  // Going to and fro is no shift: each side takes back what the other has gathered.
  CHECK(shifts(reset::EntropyShift({0.25, 2.0, 2}), {3, 1, 3, 1, 3, 1}) == "......");
}

TEST_CASE("a step whose entropies stay within the drift has no end") {
  const reset::EntropyShift detector({0.5, 1.0, 4});
  reset::EntropyShift::State state = detector.initial_state();
  std::mt19937 random(50);
  bool boundary = false;
  for (int i = 0; i < 1000000; ++i) {
    const float entropy = 0.5f + static_cast<float>(random() % 1024) / 4096.0f;
    boundary = boundary || detector.observe(state, event(1, entropy)).boundary;
  }
  CHECK_FALSE(boundary);
  CHECK(state.tokens == 1000000);
  CHECK(state.sum / 1e6 == Approx(0.625).margin(1e-3));
  CHECK(detector.observe(state, event(1, 4.0f)).boundary);
  CHECK(state.tokens == 0);
}

TEST_CASE("the test is the documented formula") {
  std::mt19937 random(51);
  for (int round = 0; round < 60; ++round) {
    const double drift = static_cast<double>(random() % 1000) / 1999.0;
    const double threshold = 0.1 + static_cast<double>(random() % 1000) / 301.0;
    const reset::EntropyShiftParams params{drift, threshold, 1 + static_cast<std::int64_t>(random() % 9)};
    std::vector<float> entropies(2000);
    for (float& entropy : entropies) entropy = static_cast<float>(random() % 4096) / 1024.0f;
    const std::string expected = by_definition(params, entropies);
    REQUIRE(expected.find('|') != std::string::npos);
    REQUIRE(expected.find('.') != std::string::npos);
    CHECK(shifts(reset::EntropyShift(params), entropies) == expected);
  }
}

TEST_CASE("entropies that are not finite, and placeholders, change nothing") {
  const reset::EntropyShift detector({0.25, 1.0, 2});
  const std::vector<reset::TokenEvent> nothing = {event(1, from_bits(0x7fc00000u)), event(1, from_bits(0x7f800001u)),
                                                  event(1, from_bits(0xff800000u)), event(1, from_bits(0x7f800000u)),
                                                  event(-1, 100.0f)};
  reset::EntropyShift::State state = detector.initial_state();
  std::string marks;
  for (const float entropy : {1.0f, 1.0f, 2.0f, 2.0f, 2.0f, 2.0f, 1.0f, 1.0f, 1.0f}) {
    for (const reset::TokenEvent& none : nothing) REQUIRE_FALSE(detector.observe(state, none).boundary);
    marks += detector.observe(state, event(1, entropy)).boundary ? '|' : '.';
  }
  CHECK(marks == "...|...|.");
}

TEST_CASE("a shift needs parameters that mean something") {
  const double nan = from_bits(std::uint64_t{0x7ff8000000000000});
  const double infinity = from_bits(std::uint64_t{0x7ff0000000000000});
  CHECK(reset::EntropyShiftParams{0.0, 0.5, 1}.validate().ok());
  CHECK_FALSE(reset::EntropyShiftParams{}.validate().ok());
  CHECK_THROWS_WITH(reset::EntropyShift({-0.5, 1.0, 1}),
                    "invalid argument: drift is -0.5, expected a finite number, 0 or more");
  CHECK_THROWS_WITH(reset::EntropyShift({0.5, 0.0, 1}),
                    "invalid argument: threshold is 0, expected a finite number above 0");
  CHECK_THROWS_WITH(reset::EntropyShift({0.5, 1.0, 0}), "invalid argument: baseline is 0, expected 1 or more");
  for (const double bad : {nan, infinity, -infinity}) {
    CHECK_THROWS_AS(reset::EntropyShift({bad, 1.0, 1}), reset::Error);
    CHECK_THROWS_AS(reset::EntropyShift({0.5, bad, 1}), reset::Error);
  }
}
