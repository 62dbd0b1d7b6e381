#include "sampler/device/launcher.hpp"

#include <reset/sampler/reset_sampler.cuh>

namespace device_test {

reset::Status prepare(int device, reset::SamplerDevice& info) { return reset::sampler_prepare(device, info); }

reset::Status initialize(const DeviceSampler& sampler, cudaStream_t stream) {
  return reset::sampler_initialize(sampler, stream);
}

reset::Status add(const DeviceSampler& sampler, std::int32_t slot, const reset::RequestParams& request,
                  cudaStream_t stream) {
  return reset::sampler_add(sampler, slot, request, stream);
}

reset::Status update(const DeviceSampler& sampler, std::int32_t slot, const reset::RequestParams& request,
                     cudaStream_t stream) {
  return reset::sampler_update(sampler, slot, request, stream);
}

reset::Status commit(const DeviceSampler& sampler, const reset::SamplerCommit& commit, cudaStream_t stream) {
  return reset::sampler_commit(sampler, commit, stream);
}

reset::Status export_state(const DeviceSampler& sampler, std::int32_t slot, DeviceSampler::State* state,
                           cudaStream_t stream) {
  return reset::sampler_export(sampler, slot, state, stream);
}

reset::Status import_state(const DeviceSampler& sampler, std::int32_t slot, const DeviceSampler::State& state,
                           cudaStream_t stream) {
  return reset::sampler_import(sampler, slot, state, stream);
}

template <class T>
reset::Status step(const DeviceSampler& sampler, const reset::SamplerCall<T>& call, const reset::SamplerLaunch& options,
                   cudaStream_t stream) {
  return reset::sampler_step(sampler, call, options, stream);
}

template <class T>
reset::Status apply(const DeviceSampler& sampler, const reset::SamplerCall<T>& call,
                    const reset::SamplerLaunch& options, cudaStream_t stream) {
  return reset::sampler_apply(sampler, call, options, stream);
}

template reset::Status step(const DeviceSampler&, const reset::SamplerCall<float>&, const reset::SamplerLaunch&,
                            cudaStream_t);
template reset::Status apply(const DeviceSampler&, const reset::SamplerCall<float>&, const reset::SamplerLaunch&,
                             cudaStream_t);
template reset::Status step(const DeviceSampler&, const reset::SamplerCall<reset::Half>&, const reset::SamplerLaunch&,
                            cudaStream_t);
template reset::Status apply(const DeviceSampler&, const reset::SamplerCall<reset::Half>&, const reset::SamplerLaunch&,
                             cudaStream_t);
template reset::Status step(const DeviceSampler&, const reset::SamplerCall<reset::BFloat16>&,
                            const reset::SamplerLaunch&, cudaStream_t);
template reset::Status apply(const DeviceSampler&, const reset::SamplerCall<reset::BFloat16>&,
                             const reset::SamplerLaunch&, cudaStream_t);

}  // namespace device_test
