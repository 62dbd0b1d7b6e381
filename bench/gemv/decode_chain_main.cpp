// All the linear layers of a decode step in one CUDA graph of dependent launches:
//   bench_decode_chain --results=bench/results/h200 --commit=$(git rev-parse --short HEAD)
// Besides Google Benchmark's own flags: --no-baselines, --results=FOLDER, --commit=HASH.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "context.hpp"
#include "decode_chain.hpp"
#include "options.hpp"
#include "records.hpp"
#include "registration.hpp"

namespace {

using nlohmann::ordered_json;

// What the floor's kernel reads on an H200, in TB/s.
constexpr double kStreamTbPerS = 4.55;

// Touches the device when the first benchmark runs, so that their list can be had without one.
class Run {
 public:
  explicit Run(const bench::Options& options) : options_(options) {}

  void measure(const bench::ChainModel& model, std::int64_t m, bool nvfp4, benchmark::State& state) {
    if (!chain_) begin();
    const double cublas = cublas_us(model, m);
    double time = 0;
    for (auto _ : state) {
      time = nvfp4 ? chain_->nvfp4_us(model, m) : chain_->bf16_us(model, m);
      state.SetIterationTime(time * 1e-6);
    }
    const auto bytes = static_cast<double>(bench::chain_bytes(model));
    const double rate = bytes / time * 1e-6;
    state.counters["GB/s"] = rate * 1000;
    state.counters["of_stream"] = rate / kStreamTbPerS;
    if (cublas > 0) state.counters["x_cublas"] = cublas / time;

    ordered_json json;
    json["model"] = model.name;
    json["m"] = m;
    json["activation"] = nvfp4 ? "nvfp4" : "bf16";
    json["layers"] = model.layers;
    json["quantization_included"] = nvfp4;
    json["time_us"] = bench::rounded(time);
    json["bytes"] = bench::chain_bytes(model);
    json["fraction_of_stream"] = bench::rounded(rate / kStreamTbPerS);
    json["fraction_of_measured_stream"] = bench::rounded(rate / read_rate_);
    json["cublas_bf16_us"] = cublas > 0 ? ordered_json(bench::rounded(cublas)) : ordered_json(nullptr);
    json["sm_mhz"] = std::lround(chain_->sm_clock_mhz());
    records_.push_back(std::move(json));
  }

  // Prints and writes what was measured.
  void end() {
    if (records_.empty()) return;
    clocks_.after_mhz = chain_->sm_clock_mhz();
    ordered_json context = bench::context_json(options_, clocks_, read_rate_);
    context["stream_tb_per_s"] = kStreamTbPerS;
    if (!options_.results.empty()) {
      bench::write_records(options_.results + "/decode_chain.json", records_);
      bench::write_json(options_.results + "/decode_chain_context.json", context);
    }
    for (const ordered_json& record : records_) std::printf("%s\n", record.dump().c_str());
    std::printf("%s\n", context.dump().c_str());
  }

 private:
  void begin() {
    chain_ = std::make_unique<bench::DecodeChain>(options_.baselines);
    read_rate_ = chain_->read_rate();
    clocks_.before_mhz = chain_->sm_clock_mhz();
  }

  // Measured once for a model and M.
  double cublas_us(const bench::ChainModel& model, std::int64_t m) {
    const auto [entry, is_new] = cublas_.try_emplace({&model, m});
    if (is_new) entry->second = chain_->cublas_us(model, m);
    return entry->second;
  }

  bench::Options options_;
  std::unique_ptr<bench::DecodeChain> chain_;
  std::map<std::pair<const bench::ChainModel*, std::int64_t>, double> cublas_;
  std::vector<ordered_json> records_;
  bench::Clocks clocks_;
  double read_rate_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  Run run(bench::take_options(argc, argv));
  return bench::run_registered(argc, argv, run, [&run] {
    for (const bench::ChainModel& model : bench::kChainModels) {
      for (const std::int64_t m : {1, 8}) {
        for (const bool nvfp4 : {true, false}) {
          bench::register_measured(
              std::string("decode_chain/") + model.name + "/m:" + std::to_string(m) + (nvfp4 ? "/nvfp4" : "/bf16"),
              [&run, &model, m, nvfp4](benchmark::State& state) { run.measure(model, m, nvfp4, state); });
        }
      }
    }
  });
}
