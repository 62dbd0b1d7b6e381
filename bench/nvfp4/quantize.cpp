// The quantisers on one core: values/s on Gaussian weights.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <vector>

#include <reset/nvfp4/quantize.hpp>

namespace {

constexpr std::int64_t kRows = 64;
constexpr std::int64_t kCols = 4096;

template <class Rule, bool kWeighted = false>
void quantize(benchmark::State& state) {
  std::vector<float> x(static_cast<std::size_t>(kRows * kCols));
  std::vector<float> weights(static_cast<std::size_t>(kCols));
  std::vector<std::uint8_t> packed(x.size() / 2);
  std::vector<std::uint8_t> scales(x.size() / 16);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (float& value : x) value = normal(random);
  for (float& weight : weights) weight = 1.0f + static_cast<float>(random() % 100);
  const Rule rule;
  const reset::GlobalScale global = rule.global_scale(reset::tensor_amax(x.data(), kRows, kCols, kCols));
  const reset::Nvfp4MutableMatrixView view{packed.data(),
                                           kRows,
                                           kCols,
                                           kCols / 2,
                                           {scales.data(), reset::ScaleLayout::kLinear, kCols / 16, 0, 0},
                                           reset::FusedGlobalScales::uniform(global)};
  for (auto _ : state) {
    reset::quantize_rows(rule, x.data(), kCols, 0, kRows, kWeighted ? weights.data() : nullptr, view);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kRows * kCols);
}

BENCHMARK_TEMPLATE(quantize, reset::RoundToNearest)->Unit(benchmark::kMillisecond);
BENCHMARK_TEMPLATE(quantize, reset::FourOverSix)->Unit(benchmark::kMillisecond);
BENCHMARK_TEMPLATE(quantize, reset::ScaleSweep)->Unit(benchmark::kMillisecond);
BENCHMARK_TEMPLATE(quantize, reset::ScaleSweep, true)->Unit(benchmark::kMillisecond);

}  // namespace
