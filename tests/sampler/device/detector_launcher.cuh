// The launchers of detector_launcher.hpp, for files that instantiate them.
#pragma once

#include "sampler/device/detector_launcher.hpp"

#include <reset/sampler/reset_sampler.cuh>

namespace device_test {

template <class Detector>
reset::Status begin(const SamplerOf<Detector>& sampler, const reset::RequestParams& request, cudaStream_t stream) {
  const reset::Status status = reset::sampler_initialize(sampler, stream);
  return status.ok() ? reset::sampler_add(sampler, 0, request, stream) : status;
}

template <class Detector>
reset::Status step_of(const SamplerOf<Detector>& sampler, const reset::SamplerCall<float>& call, cudaStream_t stream) {
  return reset::sampler_step(sampler, call, {}, stream);
}

using Request = reset::RequestParams;
using Call = reset::SamplerCall<float>;

}  // namespace device_test
