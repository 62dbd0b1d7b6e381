// The kernels that sample from floats and halves, for several detectors at once.
#include <reset/sampler/reset_sampler.cuh>

#include "sampler/boundary_cuda.hpp"

using EverySampler = reset::ReSETSampler<boundary_test::Everything, reset::DeviceBackend>;

template <class T>
reset::Status step_every(const EverySampler& sampler, const reset::SamplerCall<T>& call, cudaStream_t stream) {
  return reset::sampler_step(sampler, call, {}, stream);
}
template reset::Status step_every(const EverySampler&, const reset::SamplerCall<float>&, cudaStream_t);
template reset::Status step_every(const EverySampler&, const reset::SamplerCall<reset::Half>&, cudaStream_t);
