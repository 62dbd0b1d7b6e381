// SiLU and RMSNorm as the device quantisers define them: within their bounds of the exact functions.
#include <cmath>
#include <cstdint>
#include <vector>

#include <reset/nvfp4/activations.hpp>

#include "nvfp4/random_matrix.hpp"
#include "support/catch.hpp"

using reset::detail::bits_of;
using reset::detail::float_from_bits;

TEST_CASE("silu is within its bound over the whole range, both signs") {
  int wrong = 0;
  for (std::uint32_t bits = 0; bits < 0x7f800000u; bits += 4801) {
    for (const std::uint32_t sign : {0u, 0x80000000u}) {
      const double x = reset::detail::widen(float_from_bits(bits | sign));
      const double exact = x / (1.0 + std::exp(-x));
      const double error = std::fabs(reset::detail::widen(reset::silu(float_from_bits(bits | sign))) - exact);
      wrong += !(error <= 0x1p-20 * std::fabs(exact) + 0x1p-118);
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("silu of what is not finite and of zeros") {
  // By bits that the optimiser cannot see: under -fno-signed-zeros it takes the literals 0 and -0 for one.
  const auto silu_bits = [](volatile std::uint32_t bits) { return bits_of(reset::silu(float_from_bits(bits))); };
  CHECK(silu_bits(0x7f800000u) == 0x7f800000u);
  CHECK(reset::detail::is_nan(float_from_bits(silu_bits(0xff800000u))));
  CHECK(reset::detail::is_nan(float_from_bits(silu_bits(0x7fc00000u))));
  CHECK(silu_bits(0) == 0);
  CHECK(silu_bits(0x80000000u) == 0x80000000u);
  CHECK(silu_bits(bits_of(-100.0f)) == 0x80000000u);
}

TEST_CASE("the sum of squares keeps its order") {
  // 2^24 swallows a 1 that is added to it alone, but not the pair of them that the tree adds first.
  std::vector<float> x(8 * 1024 * 2, 0.0f);
  x[0] = 0x1p12f;
  x[2] = 1.0f;
  x[3] = 1.0f;
  CHECK(reset::sum_of_squares(x.data(), 8) == 0x1p24f + 2.0f);
  // The next octet of the same lane is added before that of the neighbouring lane.
  x[2] = x[3] = 0.0f;
  x[8] = 1.0f;
  x[8 * 1024] = 1.0f;
  CHECK(reset::sum_of_squares(x.data(), 8 * 1024 * 2) == 0x1p24f);
  x[8 * 1024] = 0.0f;
  x[8 * 1025] = 1.0f;
  CHECK(reset::sum_of_squares(x.data(), 8 * 1024 * 2) == 0x1p24f + 2.0f);
}

TEST_CASE("RMSNorm is close to the exact one") {
  for (const std::int64_t cols : {16, 48, 4096, 4112}) {
    const std::vector<float> x = random_activations(static_cast<std::size_t>(cols), 5);
    const std::vector<float> weight = random_activations(static_cast<std::size_t>(cols), 6);
    std::vector<float> y(static_cast<std::size_t>(cols), -1.25e30f);
    reset::rms_norm_row(x.data(), weight.data(), cols, 1e-5f, y.data());
    double sum = 0;
    for (const float value : x) sum += static_cast<double>(value) * static_cast<double>(value);
    const double factor = 1.0 / std::sqrt(sum / static_cast<double>(cols) + static_cast<double>(1e-5f));
    int wrong = 0;
    for (std::size_t k = 0; k < y.size(); ++k) {
      const double exact = static_cast<double>(x[k]) * factor * static_cast<double>(weight[k]);
      wrong += !(std::fabs(static_cast<double>(y[k]) - exact) <= 0x1p-19 * std::fabs(exact) + 0x1p-120);
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("SiLU times up pairs gate and up") {
  const float gate[] = {1.0f, -2.0f};
  const float up[] = {3.0f, 0.5f};
  float y[] = {-1.0f, -1.0f};
  reset::silu_mul_row(gate, up, 2, y);
  CHECK(bits_of(y[0]) == bits_of(reset::detail::mul_rn(reset::silu(1.0f), 3.0f)));
  CHECK(bits_of(y[1]) == bits_of(reset::detail::mul_rn(reset::silu(-2.0f), 0.5f)));
}
