// The kernels that sample from floats and halves.
#include <reset/sampler/boundary/token_set.hpp>
#include <reset/sampler/reset_sampler.cuh>

using Sampler = reset::ReSETSampler<reset::TokenSetDetector, reset::DeviceBackend>;

template <class T>
reset::Status step(const Sampler& sampler, const reset::SamplerCall<T>& call, cudaStream_t stream) {
  return reset::sampler_step(sampler, call, {}, stream);
}
template reset::Status step(const Sampler&, const reset::SamplerCall<float>&, cudaStream_t);
template reset::Status step(const Sampler&, const reset::SamplerCall<reset::Half>&, cudaStream_t);
