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

void launch_gemv(const reset::GemvProblem& problem, const reset::DeviceInfo& device, bool pdl, cudaStream_t stream) {
  reset::LaunchOptions options;
  options.dependent = pdl;
  require(reset::gemv(problem, device, options, stream));
}

const char* kernel_name(const reset::GemvProblem& problem, const reset::DeviceInfo& device) {
  switch (reset::select_gemv_policy(device.arch, problem).kernel) {
    case reset::GemvKernel::kGeneral:
      return "general";
    case reset::GemvKernel::kRing:
      return "ring";
  }
  return "?";
}

}  // namespace bench
