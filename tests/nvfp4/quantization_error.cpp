#include <reset/nvfp4/quantization_error.hpp>

#include <cmath>
#include <cstdint>
#include <vector>

#include <reset/nvfp4/quantize.hpp>

#include "support/catch.hpp"

namespace {

// Two rows of 16, ld 17: row 0 exact on the grid, row 1 off it in one element by a known amount.
struct Example {
  std::vector<float> x = std::vector<float>(34, 0.0f);
  std::vector<std::uint8_t> packed = std::vector<std::uint8_t>(16, 0xa5);
  std::vector<std::uint8_t> scales = std::vector<std::uint8_t>(2, 0xa5);
  reset::Nvfp4MutableMatrixView view{packed.data(),
                                     2,
                                     16,
                                     8,
                                     {scales.data(), reset::ScaleLayout::kLinear, 1, 0, 0},
                                     reset::FusedGlobalScales::uniform({1.0f})};

  Example() {
    x[0] = 6.0f;
    x[1] = -3.0f;
    x[17] = 6.0f;
    x[18] = 2.25f;  // Nearest is 2.
    x[16] = 1e9f;   // Between the rows.
    reset::quantize_rows(reset::RoundToNearest(), x.data(), 17, 0, 2, nullptr, view);
  }
};

}  // namespace

TEST_CASE("signal and noise of a matrix are those of its pieces") {
  const Example example;
  const reset::QuantizationError exact = reset::quantization_error(example.x.data(), 17, 0, 1, example.view);
  CHECK(exact.signal == 45.0);
  CHECK(exact.noise == 0.0);
  CHECK(reset::detail::is_inf(exact.snr_db()));
  const reset::QuantizationError lossy = reset::quantization_error(example.x.data() + 17, 17, 1, 1, example.view);
  CHECK(lossy.signal == 36.0 + 2.25 * 2.25);
  CHECK(lossy.noise == 0.0625);
  reset::QuantizationError sum = exact;
  sum += lossy;
  const reset::QuantizationError whole = reset::quantization_error(example.x.data(), 17, 0, 2, example.view);
  CHECK((whole.signal == sum.signal && whole.noise == sum.noise));
  CHECK(std::fabs(whole.snr_db() - 10 * std::log10((45 + 36 + 5.0625) / 0.0625)) < 1e-9);
}

TEST_CASE("a value or a scale that is not a number leaves no ratio") {
  const Example example;
  std::vector<float> x = example.x;
  x[3] = reset::detail::float_from_bits(0x7fc00000u);
  CHECK(reset::detail::is_nan(reset::quantization_error(x.data(), 17, 0, 2, example.view).snr_db()));
}
