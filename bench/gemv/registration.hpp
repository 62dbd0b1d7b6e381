// How the benchmarks of the device are registered with Google Benchmark.
#pragma once

#include <benchmark/benchmark.h>

#include <string>
#include <utility>

namespace bench {

// `measure(state)` sets the time of its one iteration: the median of many replays of a graph.
template <class Measure>
void register_measured(const std::string& name, Measure measure) {
  benchmark::RegisterBenchmark(name.c_str(), std::move(measure))
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMicrosecond);
}

// Runs what `add` registers and ends `run`; the exit status.
template <class Run, class Add>
int run_registered(int argc, char** argv, Run& run, Add add) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  add();
  benchmark::RunSpecifiedBenchmarks();
  run.end();
  return 0;
}

}  // namespace bench
