// The sweep behind the selector of the mat-vec: every cut that a call can have, by time.
//   bench_tune_gemv --results=bench/results/h200 --commit=$(git rev-parse --short HEAD) [expressions...]
// Calls whose name one of the regular expressions matches in part are swept; all of them without any. The layers of
// models with one token, NVFP4 activations and linear scales: 'gemv/(Qwen3|R1).*/m:1/nvfp4/linear'. Prints for each
// call the fastest cuts and what the selected one loses to the best; writes tune_gemv.json and tune_gemv_context.json.
#include <algorithm>
#include <cstdio>
#include <regex>
#include <string>
#include <vector>

#include "context.hpp"
#include "cuts.hpp"
#include "fixture.hpp"
#include "launcher.hpp"
#include "options.hpp"
#include "records.hpp"

namespace {

using reset::GemvKernel;
using reset::GemvPolicy;

constexpr bench::Repeats kRepeats = {48, 5};

struct Timed {
  GemvPolicy policy;
  double us;
};

bench::CutShape cut_shape(const bench::Case& c) {
  return {c.layer.n, c.layer.k, c.m, c.gate != reset::GemvGate::kNone};
}

// Stages as many as fit all of a CTA's shared memory, and as many as fit half of it.
std::vector<GemvPolicy> tensor_ring_cuts(const reset::DeviceInfo& device, const bench::Case& c) {
  constexpr int kMostGroups = 8;
  return bench::tensor_ring_cuts(device, cut_shape(c), kMostGroups,
                                 {device.shared_bytes, device.shared_bytes / 2 - 1024});
}

std::vector<GemvPolicy> ring_cuts(const reset::DeviceInfo& device, const bench::Case& c) {
  return bench::ring_cuts(device, cut_shape(c), c.activation);
}

std::vector<GemvPolicy> tensor_cuts(const bench::Case& c) {
  std::vector<GemvPolicy> cuts;
  const int units = reset::detail::k_units(c.layer.k);
  const int tokens = reset::detail::tensor_tokens(c.m);
  const int most = reset::detail::tensor_max_warps(tokens);
  for (int k_warps = 4; k_warps <= most; ++k_warps) {
    for (int groups = 1; k_warps * groups <= most; ++groups) {
      GemvPolicy policy;
      policy.tokens = tokens;
      policy.k_warps = std::min(k_warps, units);
      policy.row_groups = groups;
      policy.slices = (units + policy.k_warps - 1) / policy.k_warps;
      cuts.push_back(policy);
    }
  }
  return cuts;
}

class Sweep {
 public:
  explicit Sweep(bench::GemvFixture& fixture) : fixture_(fixture) {}

  void run(const bench::Case& c) {
    std::vector<Timed> timed;
    for (const auto& cuts : {tensor_ring_cuts(fixture_.device(), c), tensor_cuts(c), ring_cuts(fixture_.device(), c)}) {
      for (const GemvPolicy& policy : cuts) {
        const auto us = fixture_.time_us(c, policy, kRepeats);
        if (us) timed.push_back({policy, *us});
      }
    }
    std::sort(timed.begin(), timed.end(), [](const Timed& a, const Timed& b) { return a.us < b.us; });
    const GemvPolicy selected = fixture_.selected(c);
    const double us = fixture_.time_us(c, selected, kRepeats).value();
    std::printf("%-52s selected %7.2f us, best %7.2f us, loses %4.1f %%: %s\n", bench::name_of(c).c_str(), us,
                timed[0].us, (us / timed[0].us - 1) * 100, bench::text_of(selected).c_str());
    nlohmann::ordered_json record = {{"call", bench::name_of(c)},
                                     {"selected", bench::text_of(selected)},
                                     {"selected_us", us},
                                     {"floor_us", fixture_.floor_us(c.layer)},
                                     {"best", nlohmann::ordered_json()},
                                     {"cuts", timed.size()}};
    for (std::size_t i = 0; i < timed.size() && i < 5; ++i) {
      std::printf("    %7.2f us  %s\n", timed[i].us, bench::text_of(timed[i].policy).c_str());
      record["best"].push_back({{"cut", bench::text_of(timed[i].policy)}, {"us", timed[i].us}});
    }
    std::fflush(stdout);
    records_.push_back(record);
  }

  const std::vector<nlohmann::ordered_json>& records() const { return records_; }

 private:
  bench::GemvFixture& fixture_;
  std::vector<nlohmann::ordered_json> records_;
};

// With swizzled scales the calls that two kernels compete for.
std::vector<bench::Case> swept_cases() {
  using reset::ActivationType;
  using reset::ScaleLayout;
  std::vector<bench::Case> cases;
  for (const bench::Layer& layer : bench::kLayers) {
    for (const auto type : {ActivationType::kNvfp4, ActivationType::kBf16}) {
      for (const std::int64_t m : {1, 4, 8, 16}) cases.push_back({layer, m, type, ScaleLayout::kLinear, true});
    }
    cases.push_back({layer, 1, ActivationType::kNvfp4, ScaleLayout::kSwizzled128x4, true});
  }
  for (const bench::Layer& layer : bench::kGatedLayers) {
    for (const auto type : {ActivationType::kNvfp4, ActivationType::kBf16}) {
      cases.push_back({layer, 1, type, ScaleLayout::kLinear, true, reset::GemvGate::kGateUp});
    }
  }
  return cases;
}

bool wanted(const std::string& name, const std::vector<std::regex>& expressions) {
  const auto matches = [&](const std::regex& expression) { return std::regex_search(name, expression); };
  return expressions.empty() || std::any_of(expressions.begin(), expressions.end(), matches);
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options = bench::take_options(argc, argv);
  const std::vector<std::regex> expressions(argv + 1, argv + argc);
  bench::GemvFixture fixture(false);
  const double read_rate = fixture.read_rate();
  bench::Clocks clocks;
  clocks.before_mhz = fixture.sm_clock_mhz();
  Sweep sweep(fixture);
  for (const bench::Case& c : swept_cases()) {
    if (wanted(bench::name_of(c), expressions)) sweep.run(c);
  }
  clocks.after_mhz = fixture.sm_clock_mhz();
  if (options.results.empty()) return 0;
  bench::write_records(options.results + "/tune_gemv.json", sweep.records());
  bench::write_json(options.results + "/tune_gemv_context.json", bench::context_json(options, clocks, read_rate));
  return 0;
}
