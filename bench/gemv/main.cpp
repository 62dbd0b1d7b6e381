// The mat-vec on one GPU against the floor and cuBLAS, with cold weights:
//   bench_gemv --results=bench/results/h200 --commit=$(git rev-parse --short HEAD)
// Besides Google Benchmark's own flags: --no-baselines, --results=FOLDER, --commit=HASH; --profile launches each call
// once instead, which profile_gemv.py lets Nsight Compute look at.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "context.hpp"
#include "fixture.hpp"
#include "launcher.hpp"
#include "options.hpp"
#include "records.hpp"
#include "registration.hpp"

namespace {

// Touches the device when the first benchmark runs, so that their list can be had without one.
class Run {
 public:
  // `profile`: launches each call once, and measures nothing.
  Run(const bench::Options& options, bool profile) : options_(options), profile_(profile) {}

  void measure(const bench::Case& c, benchmark::State& state) {
    if (!fixture_) begin();
    if (profile_) return profile(c, state);
    bench::Record record;
    record.call = c;
    record.floor_us = fixture_->floor_us(c.layer);
    record.bf16 = fixture_->bf16(c.layer, c.m);
    record.fp8 = fixture_->fp8(c.layer, c.m);
    record.kernel = bench::name_of(fixture_->selected(c).kernel);
    for (auto _ : state) {
      record.time_us = fixture_->time_us(c);
      state.SetIterationTime(record.time_us * 1e-6);
    }
    record.sm_mhz = fixture_->sm_clock_mhz();
    if (c.pdl) record.any_ahead_us = fixture_->any_ahead_us(c);
    if (c.pdl) record.prefetched_us = fixture_->prefetched_us(c);
    set_counters(record, state);
    records_.push_back(record);
    write();
  }

  // Prints the table and writes the context.
  void end() {
    if (records_.empty()) return;
    clocks_.after_mhz = fixture_->sm_clock_mhz();
    const auto context = bench::context_json(options_, clocks_, read_rate_);
    if (!options_.results.empty()) bench::write_json(options_.results + "/context.json", context);
    bench::print_table(records_);
    std::printf("%s\n", context.dump().c_str());
  }

 private:
  // After each benchmark, so that a run which is cut off leaves what it has.
  void write() const {
    if (options_.results.empty()) return;
    std::vector<nlohmann::ordered_json> json;
    for (const bench::Record& record : records_) json.push_back(bench::to_json(record));
    bench::write_records(options_.results + "/gemv.json", json);
  }

  void profile(const bench::Case& c, benchmark::State& state) {
    for (auto _ : state) fixture_->profile(c);
  }

  void begin() {
    fixture_ = std::make_unique<bench::GemvFixture>(options_.baselines && !profile_);
    if (profile_) return;
    read_rate_ = fixture_->read_rate();
    clocks_.before_mhz = fixture_->sm_clock_mhz();
  }

  static void set_counters(const bench::Record& record, benchmark::State& state) {
    state.counters["GB/s"] = static_cast<double>(bench::weight_bytes(record.call.layer)) / record.time_us * 1e-3;
    state.counters["floor_us"] = record.floor_us;
    state.counters["x_floor"] = record.time_us / record.floor_us;
    state.counters["sm_mhz"] = record.sm_mhz;
    if (record.bf16.strict_us() > 0) {
      state.counters["cublas_bf16_us"] = record.bf16.strict_us();
      state.counters["x_cublas"] = record.bf16.strict_us() / record.time_us;
    }
    if (record.fp8.time_us > 0) {
      state.counters["cublaslt_fp8_us"] = record.fp8.time_us;
      state.counters["x_fp8"] = record.fp8.time_us / record.time_us;
    }
  }

  bench::Options options_;
  bool profile_;
  std::unique_ptr<bench::GemvFixture> fixture_;
  std::vector<bench::Record> records_;
  bench::Clocks clocks_;
  double read_rate_ = 0;
};

// Takes --profile out of the arguments: whether it was among them.
bool take_profile(int& argc, char** argv) {
  char** const end = argv + argc;
  char** const kept = std::remove_if(argv + 1, end, [](const char* a) { return std::strcmp(a, "--profile") == 0; });
  argc = static_cast<int>(kept - argv);
  return kept != end;
}

}  // namespace

int main(int argc, char** argv) {
  const bool profile = take_profile(argc, argv);
  Run run(bench::take_options(argc, argv), profile);
  return bench::run_registered(argc, argv, run, [&run] {
    for (const bench::Case& c : bench::all_cases()) {
      bench::register_measured(bench::name_of(c), [&run, c](benchmark::State& state) { run.measure(c, state); });
    }
  });
}
