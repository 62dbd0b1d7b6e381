// The host mat-vec against the float64 oracle, one core: weights/s of both, and their ratio.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <ctime>
#include <random>
#include <vector>

#include <reset/nvfp4/reference.hpp>

namespace {

struct Problem {
  std::vector<std::uint8_t> packed;
  std::vector<std::uint8_t> scales;
  std::vector<float> x;
  std::vector<float> y;
  reset::Nvfp4MatrixView view;

  Problem(std::int64_t rows, std::int64_t cols, std::int64_t tokens, reset::ScaleLayout layout)
      : packed(static_cast<std::size_t>(rows * cols / 2)),
        scales(static_cast<std::size_t>(reset::scale_bytes(layout, rows, cols / 16))),
        x(static_cast<std::size_t>(tokens * cols)),
        y(static_cast<std::size_t>(tokens * rows)) {
    std::mt19937 random(1);
    for (std::uint8_t& byte : packed) byte = static_cast<std::uint8_t>(random());
    for (std::uint8_t& byte : scales) byte = static_cast<std::uint8_t>(random() % 127);
    for (float& value : x) value = static_cast<float>(static_cast<double>(random()) * 0x1p-31 - 1.0);
    const reset::BlockScaleView block_scale{scales.data(), layout, reset::scale_stride(layout, cols / 16), 0, 0};
    view = {packed.data(), rows, cols, cols / 2, block_scale, reset::FusedGlobalScales::uniform({0.01f})};
  }
};

// Processor time: the ratio must not depend on what else the machine does.
double seconds_since(std::clock_t begin) { return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC; }

double weights_per_second(const benchmark::State& state, const Problem& problem, double seconds) {
  return static_cast<double>(state.iterations() * problem.view.rows * problem.view.cols) / seconds;
}

// Arguments: N, K, M, layout.
Problem problem_of(const benchmark::State& state) {
  return Problem(state.range(0), state.range(1), state.range(2), static_cast<reset::ScaleLayout>(state.range(3)));
}

template <class Lanes>
void host_gemv(benchmark::State& state) {
  Problem problem = problem_of(state);
  const std::int64_t tokens = state.range(2);
  const std::clock_t begin = std::clock();
  for (auto _ : state) {
    const reset::Status status = reset::host_gemv<Lanes>(problem.view, problem.x.data(), tokens, problem.view.cols,
                                                         problem.y.data(), problem.view.rows, 0, problem.view.rows);
    if (!status.ok()) state.SkipWithError(status.message().c_str());
    benchmark::ClobberMemory();
  }
  const double host_rate = weights_per_second(state, problem, seconds_since(begin));

  // The oracle in the same run, on enough rows to time.
  const reset::Nvfp4MatrixView part = row_slice(problem.view, 0, 64);
  std::vector<double> oracle(static_cast<std::size_t>(tokens * part.rows));
  const std::clock_t oracle_begin = std::clock();
  const reset::Status status =
      reset::reference_gemv(part, problem.x.data(), tokens, part.cols, oracle.data(), part.rows);
  if (!status.ok()) state.SkipWithError(status.message().c_str());
  benchmark::DoNotOptimize(oracle.data());
  const double oracle_rate = static_cast<double>(part.rows * part.cols) / seconds_since(oracle_begin);

  state.counters["Gweights/s"] = host_rate * 1e-9;
  state.counters["oracle_Gweights/s"] = oracle_rate * 1e-9;
  state.counters["ratio"] = host_rate / oracle_rate;
}

void shapes(benchmark::internal::Benchmark* benchmark) {
  for (const int tokens : {1, 2, 4, 8, 16}) benchmark->Args({4096, 4096, tokens, 0});
  benchmark->Args({4096, 4096, 1, 1});
  benchmark->Args({896, 384, 1, 0});
}

BENCHMARK_TEMPLATE(host_gemv, reset::detail::HostLanes)->Apply(shapes)->Unit(benchmark::kMicrosecond);
BENCHMARK_TEMPLATE(host_gemv, reset::detail::PortableLanes)->Apply(shapes)->Unit(benchmark::kMicrosecond);

}  // namespace
