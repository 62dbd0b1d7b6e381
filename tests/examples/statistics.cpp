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

TEST_CASE("the interval of a paired difference knows only the pairs that differ, and half a pair more of each") {
  const auto check = [](std::int64_t gained, std::int64_t lost, std::int64_t trials, double low, double high) {
    const reasoner::Interval interval = reasoner::paired_difference(gained, lost, trials);
    CHECK(interval.low == Approx(low).margin(5e-5));
    CHECK(interval.high == Approx(high).margin(5e-5));
  };
  check(30, 10, 1000, 0.0075, 0.0324);  // mean 20 / 1002, variance (41 / 1002 - mean^2) / 1002
  check(0, 0, 10, -0.1633, 0.1633);     // mean 0, variance 1 / 12 / 12
  check(1, 0, 1, -0.5101, 1.0);         // mean 1 / 3, variance (2 / 3 - 1 / 9) / 3
}
