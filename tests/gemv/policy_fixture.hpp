// What tests of policies share.
#pragma once

#include <cstdint>

#include <reset/gemv/policy.hpp>

// Shared memory of a CTA as launch.cuh computes it.
inline std::int64_t launched_bytes(const reset::GemvPolicy& policy, const reset::GemvProblem& problem,
                                   const reset::DeviceInfo& device) {
  if (policy.kernel == reset::GemvKernel::kRing) {
    return reset::exclusive_shared_bytes(
        policy, device,
        reset::ring_shared_bytes(policy, problem.activations.type, problem.weights.cols,
                                 problem.weights.block_scale.layout));
  }
  const bool gated = problem.gate != reset::GemvGate::kNone;
  const std::int64_t runs = reset::detail::output_runs(problem.weights.rows, gated);
  const std::int64_t clusters = tensor_clusters(policy, shape_of(problem), device);
  const std::int64_t needed = reset::tensor_shared_bytes(policy, reset::detail::share_tiles(runs, gated, clusters));
  return policy.kernel == reset::GemvKernel::kTensor ? needed : reset::exclusive_shared_bytes(policy, device, needed);
}
