#include <limits>

#include <reset/status.hpp>

#include "support/catch.hpp"

using reset::Error;
using reset::Status;
using reset::StatusCode;

TEST_CASE("a default status is success") {
  constexpr Status status;
  STATIC_REQUIRE(status.ok());
  CHECK(status.message() == "ok");
  CHECK_NOTHROW(reset::throw_if_failed(status));
}

TEST_CASE("a failed status names the argument, its value and what was expected") {
  const Status integral(StatusCode::kInvalidArgument, "window", 129, "0..128");
  CHECK_FALSE(integral.ok());
  CHECK(integral.message() == "invalid argument: window is 129, expected 0..128");
  const Status real(StatusCode::kUnsupported, "t_low", 1e-7, "at least 1e-6");
  CHECK(real.message() == "unsupported: t_low is 1e-07, expected at least 1e-6");
  CHECK(real.value() == 1e-7);
  const auto text_of = [](double value) { return Status(StatusCode::kInvalidArgument, "x", value, "y").message(); };
  CHECK(text_of(-0.1f) == "invalid argument: x is -0.1, expected y");
  CHECK(text_of(16777216.0f) == "invalid argument: x is 16777216, expected y");
  CHECK(text_of(0.123456791f) == "invalid argument: x is 0.12345679, expected y");
  CHECK(text_of(std::numeric_limits<double>::quiet_NaN()) == "invalid argument: x is nan, expected y");
  CHECK(text_of(-std::numeric_limits<double>::quiet_NaN()) == "invalid argument: x is nan, expected y");
  CHECK(text_of(1e300) == "invalid argument: x is 1e+300, expected y");
}

TEST_CASE("a status under another name is otherwise the same") {
  constexpr Status real(StatusCode::kUnsupported, "t_low", 1e-7, "at least 1e-6");
  CHECK(real.named("reset.t_low").message() == "unsupported: reset.t_low is 1e-07, expected at least 1e-6");
  const Status integral(StatusCode::kInvalidArgument, "rows", (std::int64_t{1} << 62) + 1, "less");
  CHECK(integral.named("weights.rows").message() ==
        "invalid argument: weights.rows is 4611686018427387905, expected less");
}

TEST_CASE("a status tells the number that an expectation names") {
  constexpr Status status = Status(StatusCode::kInvalidArgument, "slot", 9, "0..slots-1").bounded(7);
  CHECK(status.message() == "invalid argument: slot is 9, expected 0..slots-1 (7)");
  CHECK(status.named("call.slot").message() == "invalid argument: call.slot is 9, expected 0..slots-1 (7)");
  CHECK(status.bounded(0).message() == "invalid argument: slot is 9, expected 0..slots-1 (0)");
  CHECK(status.bounded(std::int64_t{1} << 31).message() == "invalid argument: slot is 9, expected 0..slots-1");
}

TEST_CASE("an error carries the words of its status") {
  const Status status(StatusCode::kInvalidArgument, "k", std::size_t{17}, "a multiple of 16");
  CHECK_THROWS_WITH(reset::throw_if_failed(status), "invalid argument: k is 17, expected a multiple of 16");
}

TEST_CASE("a status is small and trivially copyable") {
  STATIC_REQUIRE(sizeof(Status) <= 32);
  STATIC_REQUIRE(std::is_trivially_copyable_v<Status>);
}
