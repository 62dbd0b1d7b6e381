#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <system_error>
#include <vector>

#include <reset/detail/rounding.hpp>

#include "math.hpp"
#include "panels.hpp"
#include "support/catch.hpp"
#include "support/sanitizers.hpp"
#include "worker_pool.hpp"

TEST_CASE("the gated activation is a number for every gate") {
  // 19 of each, so that whole vectors and a rest of every width run.
  for (const float gate : {-1e38F, -200.0F, -104.0F, -89.0F, -88.0F, -3.0F, -0.25F, 0.0F, 1.0F, 30.0F, 200.0F, 1e38F}) {
    CAPTURE(gate);
    std::vector<float> values(19, gate);
    engine::gated_silu(values.data(), std::vector<float>(19, 2.0F).data(), 19);
    const double exact = static_cast<double>(gate) / (1 + std::exp(-std::fmax(static_cast<double>(gate), -700.0))) * 2;
    for (const float value : values) {
      REQUIRE(reset::detail::is_finite(value));
      CHECK(static_cast<double>(value) == Approx(exact).epsilon(1e-6).margin(1e-30));
    }
  }
}

TEST_CASE("panels multiply, each token for itself and any part of the rows") {
  constexpr std::int64_t kRows = 70, kCols = 24, kTokens = 13;
  std::vector<float> matrix(kRows * kCols), x(kTokens * kCols);
  for (std::size_t i = 0; i < matrix.size(); ++i) matrix[i] = static_cast<float>(i * 7 % 23) - 11.0F;
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 5 % 17) * 0.25F - 2.0F;
  engine::Panels panels(kRows, kCols);
  for (std::int64_t n = 0; n < kRows; ++n) panels.set_row(n, matrix.data() + n * kCols);

  std::vector<float> y(kTokens * kRows, -1.0F), alone(kRows);
  panels.apply(x.data(), kTokens, y.data(), 0, 40);
  panels.apply(x.data(), kTokens, y.data(), 40, kRows);
  for (std::int64_t m = 0; m < kTokens; ++m) {
    panels.apply(x.data() + m * kCols, 1, alone.data(), 0, kRows);
    for (std::int64_t n = 0; n < kRows; ++n) {
      const float exact = engine::dot(matrix.data() + n * kCols, x.data() + m * kCols, kCols);  // small integers / 4
      REQUIRE(y[static_cast<std::size_t>(m * kRows + n)] == exact);
      REQUIRE(alone[static_cast<std::size_t>(n)] == exact);
    }
  }
  std::vector<float> part(kTokens * kRows, -1.0F);
  panels.apply(x.data(), kTokens, part.data(), 40, 48);
  CHECK(part[39] == -1.0F);
  CHECK(part[48] == -1.0F);
  CHECK(part[47] == y[47]);
}

#if !defined(RESET_TEST_ADDRESS_SANITIZER)  // which needs more address space than the limit leaves

TEST_CASE("threads that cannot all be started are an exception, and those that were are joined") {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{rlim_t{1} << 29, rlim_t{1} << 29};  // of address space: some stacks, not ten thousand
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(1);
    try {
      const engine::WorkerPool pool(10000);
    } catch (const std::system_error&) {
      _exit(0);
    }
    _exit(2);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));  // not std::terminate
  CHECK(WEXITSTATUS(status) == 0);
}

#endif
