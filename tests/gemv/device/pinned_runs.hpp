// Cases served with policies that the caller chooses, counted.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "gemv/device/case.hpp"
#include "gemv/device/memory.hpp"

#include <reset/status.hpp>

struct PinnedRuns {
  using Launch = reset::Status (*)(const reset::GemvProblem& problem, const reset::GemvPolicy& policy,
                                   const reset::DeviceInfo& device, bool dependent, cudaStream_t stream);

  explicit PinnedRuns(Launch launch) : launch_(launch) {}

  int cases = 0;
  int failures = 0;
  double worst = 0;  // error over bound

  void run(Case& call, const reset::GemvPolicy& policy, const reset::DeviceInfo& device) {
    ++cases;
    call.poison();
    call.serve_with(policy.kernel);
    const reset::Status status = launch_(call.problem(), policy, device, false, nullptr);
    const cudaError_t error = cudaDeviceSynchronize();
    std::string wrong = error != cudaSuccess ? cudaGetErrorString(error) : status.ok() ? "" : status.message();
    if (wrong.empty()) wrong = call.compare();
    worst = std::max(worst, call.worst());
    if (wrong.empty()) return;
    if (++failures <= 10) {
      std::printf("FAILED: %s: kernel %d tokens %d k_warps %d row_groups %d slices %d stages %d odd %d on %d: %s\n",
                  call.options().text().c_str(), static_cast<int>(policy.kernel), policy.tokens, policy.k_warps,
                  policy.row_groups, policy.slices, policy.stages, policy.odd_rows, device.sm_count, wrong.c_str());
    }
    if (error != cudaSuccess) std::exit(1);  // nothing runs after it
  }

 private:
  Launch launch_;
};
