// A few kernels as engines build them, with --use_fast_math: within the same bounds, infinities and NaNs included.
// Exits with 77 without a GPU.
#include <cstdio>

#include "gemv/device/case.hpp"
#include "gemv/device/few_kernels.hpp"
#include "gemv/device/pinned_runs.hpp"
#include "support/chosen_tests.hpp"
#include "support/gpu.hpp"

namespace {

using reset::ActivationType;
using reset::GemvGate;
using reset::GemvPolicy;

constexpr reset::OutputType kOutputs[] = {reset::OutputType::kFp32, reset::OutputType::kBf16, reset::OutputType::kFp16};
constexpr GemvGate kGates[] = {GemvGate::kNone, GemvGate::kGateUp, GemvGate::kUpGate};
constexpr Residual kResiduals[] = {Residual::kNone, Residual::kApart, Residual::kInPlace};

// With every policy whose kernel is compiled here.
void run_all(PinnedRuns& runs, few::Coverage& coverage, const CaseOptions& options, const reset::DeviceInfo& device) {
  Case call(options, device);
  const auto k = options.k;
  for (const GemvPolicy& policy :
       {reset::tensor_policy(device, options.m, k), reset::tensor_ring_policy(device, options.m, options.n, k),
        reset::tensor_ring_policy(device, options.m, options.n, k, true),
        reset::ring_policy(device, options.activation, options.m, k)}) {
    const bool served = policy.stages > 0 && validate(policy, call.problem(), device).ok();
    int* calls = served ? coverage.of(policy, call.problem()) : nullptr;
    if (calls == nullptr) continue;
    runs.run(call, policy, device);
    ++*calls;
  }
}

int test_fast_math(const reset::DeviceInfo& device, bool reduced) {
  PinnedRuns runs(few::run);
  few::Coverage coverage;
  unsigned turn = 0;
  for (const Inputs inputs : {Inputs::kNormal, Inputs::kWide, Inputs::kTiny, Inputs::kEdges, Inputs::kNonFinite}) {
    for (const ActivationType activation : {ActivationType::kNvfp4, ActivationType::kFp16, ActivationType::kBf16}) {
      for (const std::int64_t m : {1, 5, 16}) {
        for (const std::int64_t k : {512, 528, 2048}) {
          for (int variant = 0; variant < (reduced ? 1 : 6); ++variant) {
            CaseOptions options;
            options.inputs = inputs;
            options.activation = activation;
            options.m = m;
            options.n = variant % 2 == 0 ? 256 : 150;
            options.k = k;
            options.gate = kGates[turn % 3];
            options.output = kOutputs[turn / 3 % 3];
            options.residual = kResiduals[turn / 2 % 3];
            options.bias = turn % 4 == 1;
            options.device_alpha = turn % 5 == 1;
            options.nan_scale = turn % 7 == 3;
            if (turn % 4 >= 2 && options.n == 256) options.layout = reset::ScaleLayout::kSwizzled128x4;
            options.seed = ++turn;
            run_all(runs, coverage, options, device);
          }
        }
      }
    }
  }
  const int missing = coverage.missing(device, reduced ? 1 : 8);
  if (missing > 0) std::printf("FAILED: %d kernels served too few calls\n", missing);
  std::printf("fast math: %d cases, %d failures, worst error %.2f of its bound\n", runs.cases, runs.failures,
              runs.worst);
  return runs.failures + missing;
}

}  // namespace

int main(int argc, char** argv) {
  test_support::ChosenTests tests(argc, argv);
  if (!test_support::has_gpu()) return test_support::kSkipped;
  reset::DeviceInfo device;
  const reset::Status status = few::prepare(0, device);
  if (!status.ok()) {
    std::printf("FAILED: %s\n", status.message().c_str());
    return 1;
  }
  tests.run("fast_math", [&](bool reduced) { return test_fast_math(device, reduced); });
  return tests.end();
}
