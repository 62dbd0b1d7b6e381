#include "gemv/device/launcher.hpp"

#include <reset/gemv/launch.cuh>
#include <reset/nvfp4/quantize.cuh>

namespace {

// What follows may be asked for ahead: here what the call itself reads, whatever its layout and alignment.
reset::LaunchOptions options_of(const reset::GemvProblem& problem, bool dependent) {
  reset::LaunchOptions options;
  options.dependent_launch = dependent;
  const bool asks = dependent == (problem.tokens < 5);
  if (asks && !options.prefetch.add(problem.weights).ok()) options.prefetch = {};  // a call to be refused
  return options;
}

}  // namespace

reset::Status prepare(int device, reset::DeviceInfo& info) { return reset::gemv_prepare(device, info); }

reset::Status run(const reset::GemvProblem& problem, const reset::DeviceInfo& device, bool dependent,
                  cudaStream_t stream) {
  return reset::gemv(problem, device, options_of(problem, dependent), stream);
}

reset::Status run(const reset::GemvProblem& problem, const reset::GemvPolicy& policy, const reset::DeviceInfo& device,
                  bool dependent, cudaStream_t stream) {
  return reset::gemv(problem, policy, device, options_of(problem, dependent), stream);
}

reset::Status quantize_rows(const void* x, std::int64_t ld, const reset::Nvfp4MutableMatrixView& out, bool dependent,
                            cudaStream_t stream) {
  reset::QuantizeOptions options;
  options.dependent_launch = dependent;
  return reset::quantize_activations(static_cast<const __nv_bfloat16*>(x), ld, out, options, stream);
}
