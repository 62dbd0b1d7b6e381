#include "launcher.hpp"

#include <reset/sampler/reset_sampler.cuh>

namespace bench {

reset::Status prepare(int device, reset::SamplerDevice& info) { return reset::sampler_prepare(device, info); }

reset::Status initialize(const DeviceSampler& sampler, cudaStream_t stream) {
  return reset::sampler_initialize(sampler, stream);
}

reset::Status add(const DeviceSampler& sampler, std::int32_t slot, const reset::RequestParams& request,
                  cudaStream_t stream) {
  return reset::sampler_add(sampler, slot, request, stream);
}

template <class T>
reset::Status step(const DeviceSampler& sampler, const reset::SamplerCall<T>& call, const reset::SamplerLaunch& options,
                   cudaStream_t stream) {
  return reset::sampler_step(sampler, call, options, stream);
}

template reset::Status step(const DeviceSampler&, const reset::SamplerCall<float>&, const reset::SamplerLaunch&,
                            cudaStream_t);
template reset::Status step(const DeviceSampler&, const reset::SamplerCall<reset::BFloat16>&,
                            const reset::SamplerLaunch&, cudaStream_t);

}  // namespace bench
