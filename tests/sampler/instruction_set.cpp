// Objects for different instruction sets in one program: neither runs the other's code.
#include <cmath>
#include <vector>

#include "instruction_set_twin.hpp"
#include "sampler_support.hpp"
#include "support/catch.hpp"

TEST_CASE("instruction set: code for different ones shares no function of the CPU path") {
  const Addresses baseline = twin_baseline::addresses();
  const Addresses wide = twin_wide::addresses();
  for (int i = 0; i < kTwinAddresses; ++i) {
    CAPTURE(i);
    CHECK(baseline.of[i] != 0);
    CHECK(wide.of[i] != baseline.of[i]);
  }
}

TEST_CASE("instruction set: both find the same entropy") {
  const std::vector<float> row = sampler_test::make_row(20000, 11, 2.5f, 4, 12.0f);
  std::vector<reset::EntropyPartial> scratch(reset::chunk_count(row.size()));
  const double expected = sampler_test::oracle_entropy(row);
  CHECK(std::abs(twin_baseline::row_entropy(row.data(), row.size(), scratch.data()) - expected) <= 1e-6 * expected);
  if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0) {
    CHECK(std::abs(twin_wide::row_entropy(row.data(), row.size(), scratch.data()) - expected) <= 1e-6 * expected);
  }
}
