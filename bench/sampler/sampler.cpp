// One row on one core, V = 151,936. Build with the instruction set to be measured (-DCMAKE_CXX_FLAGS=-march=native);
// bench/host_sampler.py runs it and keeps the results.
#include <algorithm>
#include <vector>

#include <benchmark/benchmark.h>

#include <reset/sampler/reset_sampler.hpp>

#include "rows.hpp"

namespace {

using bench::kVocabulary;

template <class T>
std::vector<T> row_of();

template <>
std::vector<float> row_of<float>() {
  return bench::make_logits(1);
}

template <>
std::vector<reset::BFloat16> row_of<reset::BFloat16>() {
  return bench::narrowed(bench::make_logits(1));
}

template <class T>
void statistics(benchmark::State& state) {
  const std::vector<T> row = row_of<T>();
  std::vector<reset::EntropyPartial> scratch(reset::chunk_count(row.size()));
  double h = 0.0;
  for (auto _ : state) {
    h = reset::entropy(reset::row_statistics(row.data(), row.size(), scratch.data()).partial);
    benchmark::DoNotOptimize(h);
  }
  state.counters["entropy"] = h;
}

void token(benchmark::State& state, reset::SamplingParams sampling, float temperature) {
  const std::vector<float> row = row_of<float>();
  reset::SamplerConfig config;
  config.vocabulary = kVocabulary;
  reset::ReSETSampler<reset::NoDetector> sampler(config);
  reset::RequestParams request;
  request.sampling = sampling;
  request.reset.t_low = request.reset.t_high = temperature;
  reset::throw_if_failed(sampler.add(0, request));
  reset::SampledToken result;
  for (auto _ : state) {
    reset::throw_if_failed(sampler.sample(0, row.data(), result));
    benchmark::DoNotOptimize(result);
  }
}

reset::SamplingParams truncation(std::int32_t top_k, float top_p, float min_p) {
  reset::SamplingParams sampling;
  sampling.top_k = top_k;
  sampling.top_p = top_p;
  sampling.min_p = min_p;
  return sampling;
}

// The mean of ten repetitions and the fastest of them: the latter is what a quiet machine gives.
void figures(benchmark::internal::Benchmark* bench) {
  bench->Unit(benchmark::kMicrosecond)
      ->Repetitions(10)
      ->ReportAggregatesOnly(true)
      ->ComputeStatistics(
          "min", [](const std::vector<double>& times) { return *std::min_element(times.begin(), times.end()); });
}

}  // namespace

BENCHMARK_TEMPLATE(statistics, float)->Apply(figures);
BENCHMARK_TEMPLATE(statistics, reset::BFloat16)->Apply(figures);
BENCHMARK_CAPTURE(token, top_p_95_T_1, truncation(0, 0.95f, 0.0f), 1.0f)->Apply(figures);
BENCHMARK_CAPTURE(token, top_p_95_T_06, truncation(0, 0.95f, 0.0f), 0.6f)->Apply(figures);
BENCHMARK_CAPTURE(token, top_k_20_top_p_95_T_06, truncation(20, 0.95f, 0.0f), 0.6f)->Apply(figures);
BENCHMARK_CAPTURE(token, min_p_05_T_1, truncation(0, 1.0f, 0.05f), 1.0f)->Apply(figures);
BENCHMARK_CAPTURE(token, argmax, truncation(0, 1.0f, 0.0f), 0.0f)->Apply(figures);
BENCHMARK_CAPTURE(token, T_1, truncation(0, 1.0f, 0.0f), 1.0f)->Apply(figures);

int main(int argc, char** argv) {
  benchmark::AddCustomContext("compiler", BENCH_COMPILER);
  benchmark::AddCustomContext("flags", BENCH_FLAGS);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
