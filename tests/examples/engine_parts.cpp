#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <system_error>
#include <vector>

#include <reset/detail/rounding.hpp>

#include "math.hpp"
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
