// The sweep behind the selector of the mat-vec, where it counts: cuts of kTensorRing, for one token of kRing too, for
// each linear layer of a few layers of the engine, and the selected one, by the time of the whole step, the others
// keeping their best.
//   bench_tune_engine --results=bench/results/h200 --commit=$(git rev-parse --short HEAD)
// Besides: --models=qwen3-8b,... --batches=1,8,16 --engines=nvfp4-w4a16,nvfp4-w4a4. Writes tune_engine.json.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include <reset/status.hpp>

#include "../gemv/cuts.hpp"
#include "../gemv/options.hpp"
#include "../gemv/records.hpp"
#include "flags.hpp"
#include "measure.hpp"

namespace {

using bench::EngineKind;
using engine::cuda::DeviceLinear;
using nlohmann::ordered_json;
using reset::GemvPolicy;

constexpr std::int64_t kLayers = 8;  // with weights of several times what a cache holds
constexpr std::int64_t kLength = 1024;
constexpr int kSteps = 16;
constexpr int kPasses = 2;
constexpr int kMostGroups = 4;
constexpr std::size_t kKept = 8;  // of the fastest cuts

struct Timed {
  GemvPolicy policy;
  double us;
};

struct Linear {
  const char* name;
  DeviceLinear shape;
  bool gated;
  GemvPolicy selected;
  GemvPolicy best;
  std::vector<Timed> timed;  // of the last pass
};

double rounded(double us) { return std::round(us * 100) / 100; }

class Tuner {
 public:
  explicit Tuner(const bench::EngineCase& engine) : engine_(engine), run_(engine) {
    if (engine.kind == EngineKind::kBf16)
      throw reset::Error("engine bf16 has no mat-vecs to cut, expected an NVFP4 one");
    const engine::cuda::DeviceLayer& layer = run_.weights().layers.front();
    const bool dense = engine.kind == EngineKind::kW4A16;
    add("gate_up", layer.gate_up, dense);
    add("down", layer.down, false);
    add("qkv", layer.qkv, false);
    add("o", layer.output, false);
    run_.begin_all(16, true);
  }

  void tune() {
    step_us();
    selected_us_ = step_us();
    for (int pass = 0; pass < kPasses; ++pass) {
      for (Linear& linear : linears_) sweep(linear);
    }
    tuned_us_ = step_us();
  }

  ordered_json record(const std::string& commit) const {
    ordered_json json = {{"model", engine_.model},
                         {"engine", bench::name_of(engine_.kind)},
                         {"batch", engine_.batch},
                         {"commit", commit},
                         {"layers", kLayers},
                         {"selected_step_us", rounded(selected_us_)},
                         {"tuned_step_us", rounded(tuned_us_)}};
    for (const Linear& linear : linears_) {
      ordered_json cuts = ordered_json::array();
      for (std::size_t i = 0; i < linear.timed.size() && i < kKept; ++i) {
        cuts.push_back({{"cut", bench::text_of(linear.timed[i].policy)}, {"step_us", rounded(linear.timed[i].us)}});
      }
      json["linears"][linear.name] = {{"n", linear.shape.rows},
                                      {"k", linear.shape.cols},
                                      {"selected", bench::text_of(linear.selected)},
                                      {"fastest", cuts}};
    }
    return json;
  }

 private:
  void add(const char* name, const DeviceLinear& shape, bool gated) {
    const GemvPolicy selected = run_.decoder().selected_cut(shape, gated);
    linears_.push_back({name, shape, gated, selected, selected, {}});
  }

  reset::ActivationType activation() const {
    return engine_.kind == EngineKind::kW4A16 ? reset::ActivationType::kBf16 : reset::ActivationType::kNvfp4;
  }

  std::vector<GemvPolicy> cuts_of(const Linear& linear) {
    const reset::DeviceInfo& device = run_.decoder().device();
    const bench::CutShape shape = {linear.shape.rows, linear.shape.cols, engine_.batch, linear.gated};
    std::vector<std::int64_t> shared = {device.shared_bytes, device.shared_bytes / 8 * 5};
    for (const int kilobytes : {125, 112, 100, 75}) shared.push_back(kilobytes * 1024);
    std::vector<GemvPolicy> cuts = bench::tensor_ring_cuts(device, shape, kMostGroups, shared);
    for (const GemvPolicy& cut : bench::ring_cuts(device, shape, activation())) {
      const bool several = cut.ctas_per_sm == 2 || !cut.exclusive;
      const bool likely = several && cut.stages <= 12 && cut.stages >= 2 * cut.groups;
      if (engine_.batch == 1 && likely) cuts.push_back(cut);
    }
    const auto is_selected = [&](const GemvPolicy& cut) {
      return bench::text_of(cut) == bench::text_of(linear.selected);
    };
    if (std::none_of(cuts.begin(), cuts.end(), is_selected)) cuts.push_back(linear.selected);
    return cuts;
  }

  // The faster of two measurements; 0 where a cut does not serve its shape.
  double step_us() {
    try {
      run_.decoder().capture();
    } catch (const reset::Error&) {
      return 0;
    }
    const double first = run_.step_ms(kLength, kSteps);
    return 1000 * std::min(first, run_.step_ms(kLength, kSteps));
  }

  void sweep(Linear& linear) {
    linear.timed.clear();
    for (const GemvPolicy& policy : cuts_of(linear)) {
      run_.decoder().set_cut(linear.shape, policy);
      const double us = step_us();
      if (us > 0) linear.timed.push_back({policy, us});
    }
    std::sort(linear.timed.begin(), linear.timed.end(), [](const Timed& a, const Timed& b) { return a.us < b.us; });
    if (linear.timed.empty()) throw reset::Error(std::string(linear.name) + ": no cut serves it, expected one");
    linear.best = linear.timed.front().policy;
    run_.decoder().set_cut(linear.shape, linear.best);
  }

  bench::EngineCase engine_;
  bench::EngineRun run_;
  std::vector<Linear> linears_;
  double selected_us_ = 0;
  double tuned_us_ = 0;
};

void tune_all(int argc, char** argv) {
  const std::vector<std::string> models =
      bench::split(bench::take_flag(argc, argv, "models", "qwen3-8b,qwen3-14b,qwen3-32b"));
  const std::vector<std::string> batches = bench::split(bench::take_flag(argc, argv, "batches", "1,8,16"));
  const std::vector<std::string> engines = bench::split(bench::take_flag(argc, argv, "engines", "nvfp4-w4a16"));
  const bench::Options options = bench::take_options(argc, argv);
  std::vector<ordered_json> records;
  for (const std::string& model : models) {
    for (const std::string& engine : engines) {
      for (const std::string& batch : batches) {
        Tuner tuner({model, bench::engine_kind(engine), true, std::stoi(batch), kLength + 64, kLayers});
        tuner.tune();
        records.push_back(tuner.record(options.commit));
        std::printf("%s\n", records.back().dump(1).c_str());
        std::fflush(stdout);
        if (!options.results.empty()) bench::write_records(options.results + "/tune_engine.json", records);
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    tune_all(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_tune_engine: %s\n", error.what());
    return 2;
  }
  return 0;
}
