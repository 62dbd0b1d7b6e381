#include "statistics.hpp"

#include "support/catch.hpp"

TEST_CASE("Wilson's interval has its known values") {
  const auto check = [](std::int64_t successes, std::int64_t trials, double low, double high) {
    const reasoner::Interval interval = reasoner::wilson(successes, trials);
    CHECK(interval.low == Approx(low).margin(5e-5));
    CHECK(interval.high == Approx(high).margin(5e-5));
  };
  check(8, 10, 0.4902, 0.9433);
  check(0, 10, 0.0, 0.2775);
  check(10, 10, 0.7225, 1.0);
  check(500, 1000, 0.4691, 0.5309);
}

TEST_CASE("the interval of a paired difference knows only the pairs that differ") {
  // 30 gained, 10 lost of 1000: mean .02, variance (.04 - .0004) / 1000.
  const reasoner::Interval interval = reasoner::paired_difference(30, 10, 1000);
  CHECK(interval.low == Approx(0.0077).margin(5e-5));
  CHECK(interval.high == Approx(0.0323).margin(5e-5));
  CHECK(reasoner::paired_difference(0, 0, 10).high == 0.0);
}
