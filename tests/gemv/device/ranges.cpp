// Numbers at the limits of their formats, and what is not a number.
#include <cstdio>

#include "gemv/device/case.hpp"
#include "gemv/device/launcher.hpp"
#include "gemv/device/pinned_runs.hpp"
#include "gemv/device/tests.hpp"

namespace {

using reset::ActivationType;
using reset::GemvPolicy;

void run_selected(PinnedRuns& runs, Case& call, const reset::DeviceInfo& device) {
  runs.run(call, reset::select_gemv_policy(device, call.problem()), device);
  // kTensor serves what the selector gives to another kernel, too.
  const GemvPolicy plain = reset::tensor_policy(device, call.options().m, call.options().k);
  if (validate(plain, call.problem(), device).ok()) runs.run(call, plain, device);
  const GemvPolicy ring = reset::tensor_ring_policy(device, call.options().m, call.options().n, call.options().k);
  if (validate(ring, call.problem(), device).ok()) runs.run(call, ring, device);
  const CaseOptions& options = call.options();
  const GemvPolicy integers = reset::ring_policy(device, options.activation, options.m, options.k);
  if (integers.stages > 0 && validate(integers, call.problem(), device).ok()) runs.run(call, integers, device);
}

}  // namespace

int test_ranges(const reset::DeviceInfo& device, bool reduced) {
  PinnedRuns runs(run);
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
          run_selected(runs, call, device);
        }
      }
    }
  }
  std::printf("ranges: %d cases, %d failures, worst error %.2f of its bound\n", runs.cases, runs.failures, runs.worst);
  return runs.failures;
}
