// Everything included, one kernel of the mat-vec instantiated: of the target's fastest family, for up to 8 tokens.
#include <reset/reset.cuh>

namespace {

constexpr reset::GemvPolicy policy_for(int arch) {
  reset::GemvPolicy policy{};
  policy.tokens = 8;
  policy.kernel = arch >= 900 ? reset::GemvKernel::kTensorRing : reset::GemvKernel::kTensor;
  return policy;
}

constexpr int kArchitectures[] = {__CUDA_ARCH_LIST__};
constexpr reset::GemvShape kShape = reset::aligned_shape(reset::ActivationType::kBf16, 8, 4096, 4096);
constexpr reset::GemvInstance kInstance = reset::gemv_instance(policy_for(kArchitectures[0]), kShape);

}  // namespace

reset::Status prepare(int device, reset::DeviceInfo& info) { return reset::gemv_prepare<kInstance>(device, info); }

reset::Status one_kernel(const reset::GemvProblem& problem, const reset::GemvPolicy& policy,
                         const reset::DeviceInfo& device, cudaStream_t stream) {
  return reset::gemv<kInstance>(problem, policy, device, {}, stream);
}
