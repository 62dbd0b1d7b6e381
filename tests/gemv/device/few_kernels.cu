#include "gemv/device/few_kernels.hpp"

#include <reset/gemv/launch.cuh>

namespace few {
namespace {

reset::LaunchOptions options_of(bool dependent) {
  reset::LaunchOptions options;
  options.dependent_launch = dependent;
  return options;
}

}  // namespace

reset::Status prepare(int device, reset::DeviceInfo& info) {
  return reset::gemv_prepare<kTensorWhole, kTensorAnyhow, kTensorRing, kTensorRingOdd, kTensorRingSpread, kRing,
                             kRingDense>(device, info);
}

reset::Status run(const reset::GemvProblem& problem, const reset::DeviceInfo& device, bool dependent,
                  cudaStream_t stream) {
  return reset::gemv<kTensorWhole, kTensorAnyhow, kTensorRing, kTensorRingOdd, kTensorRingSpread, kRing, kRingDense>(
      problem, device, options_of(dependent), stream);
}

reset::Status run(const reset::GemvProblem& problem, const reset::GemvPolicy& policy, const reset::DeviceInfo& device,
                  bool dependent, cudaStream_t stream) {
  return reset::gemv<kTensorWhole, kTensorAnyhow, kTensorRing, kTensorRingOdd, kTensorRingSpread, kRing, kRingDense>(
      problem, policy, device, options_of(dependent), stream);
}

}  // namespace few
