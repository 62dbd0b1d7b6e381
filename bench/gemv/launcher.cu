#include "launcher.hpp"

#include <cstdio>
#include <cstdlib>

#include <reset/gemv/launch.cuh>

namespace bench {

void require(const reset::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.message().c_str());
  std::exit(1);
}

reset::DeviceInfo prepare_device(int device) {
  reset::DeviceInfo info;
  require(reset::gemv_prepare(device, info));
  return info;
}

void launch_gemv(const reset::GemvProblem& problem, const reset::DeviceInfo& device,
                 const reset::LaunchOptions& options, cudaStream_t stream) {
  require(reset::gemv(problem, device, options, stream));
}

void launch_gemv(const reset::GemvProblem& problem, const reset::GemvPolicy& policy, const reset::DeviceInfo& device,
                 const reset::LaunchOptions& options, cudaStream_t stream) {
  require(reset::gemv(problem, policy, device, options, stream));
}

const char* name_of(reset::GemvKernel kernel) {
  switch (kernel) {
    case reset::GemvKernel::kTensor:
      return "tensor";
    case reset::GemvKernel::kTensorRing:
      return "tensor_ring";
    case reset::GemvKernel::kRing:
      return "ring";
  }
  return "?";
}

}  // namespace bench
