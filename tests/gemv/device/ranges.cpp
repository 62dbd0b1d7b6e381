// Numbers at the limits of their formats, and what is not a number.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "gemv/device/case.hpp"
#include "gemv/device/launcher.hpp"
#include "gemv/device/tests.hpp"

namespace {

using reset::ActivationType;
using reset::GemvKernel;
using reset::GemvPolicy;

struct Runner {
  int cases = 0;
  int failures = 0;
  double worst = 0;

  void run_selected(Case& call, const reset::DeviceInfo& device) {
    run_pinned(call, reset::select_gemv_policy(device, call.problem()), device);
    // kTensor serves what the selector gives to another kernel, too.
    const GemvPolicy plain = reset::tensor_policy(device, call.options().m, call.options().k);
    if (validate(plain, call.problem(), device).ok()) run_pinned(call, plain, device);
    const GemvPolicy ring = reset::tensor_ring_policy(device, call.options().m, call.options().n, call.options().k);
    if (validate(ring, call.problem(), device).ok()) run_pinned(call, ring, device);
  }

  void run_pinned(Case& call, const GemvPolicy& policy, const reset::DeviceInfo& device) {
    ++cases;
    call.poison();
    call.serve_with(policy.kernel);
    const reset::Status status = run(call.problem(), policy, device, false, nullptr);
    const cudaError_t error = cudaDeviceSynchronize();
    std::string wrong = error != cudaSuccess ? cudaGetErrorString(error) : status.ok() ? "" : status.message();
    if (wrong.empty()) wrong = call.compare();
    worst = std::max(worst, call.worst());
    if (wrong.empty()) return;
    if (++failures <= 10) {
      std::printf("FAILED: %s: kernel %d: %s\n", call.options().text().c_str(), static_cast<int>(policy.kernel),
                  wrong.c_str());
    }
    if (error != cudaSuccess) std::exit(1);
  }
};

}  // namespace

int test_ranges(const reset::DeviceInfo& device, bool reduced) {
  Runner runner;
  unsigned seed = 0;
  for (const Inputs inputs : {Inputs::kWide, Inputs::kTiny, Inputs::kEdges, Inputs::kNonFinite}) {
    for (const ActivationType activation : {ActivationType::kNvfp4, ActivationType::kFp16, ActivationType::kBf16}) {
      for (const std::int64_t m : {1, 2, 5, 8, 9, 16}) {
        for (const std::int64_t k : {48, 512, 1296, 2560}) {
          if (reduced && (k > 512 || m % 4 == 1)) continue;
          CaseOptions options;
          options.inputs = inputs;
          options.activation = activation;
          options.m = m;
          options.n = 150;
          options.k = k;
          options.seed = ++seed;
          options.nan_scale = seed % 4 == 0;  // its row is NaN, no other
          Case call(options, device);
          runner.run_selected(call, device);
        }
      }
    }
  }
  std::printf("ranges: %d cases, %d failures, worst error %.2f of its bound\n", runner.cases, runner.failures,
              runner.worst);
  return runner.failures;
}
