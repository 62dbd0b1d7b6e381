#include "gemv/device/launcher.hpp"

#include <reset/gemv/launch.cuh>

reset::Status prepare(int device, reset::DeviceInfo& info) { return reset::gemv_prepare(device, info); }

reset::Status run(const reset::GemvProblem& problem, const reset::DeviceInfo& device, bool dependent,
                  cudaStream_t stream) {
  return reset::gemv(problem, device, {dependent}, stream);
}

reset::Status run(const reset::GemvProblem& problem, const reset::GemvPolicy& policy, const reset::DeviceInfo& device,
                  bool dependent, cudaStream_t stream) {
  return reset::gemv(problem, policy, device, {dependent}, stream);
}
