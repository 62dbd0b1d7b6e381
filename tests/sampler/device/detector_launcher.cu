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

template reset::Status begin(const SamplerOf<reset::NoDetector>&, const Request&, cudaStream_t);
template reset::Status begin(const SamplerOf<reset::TokenSetDetector>&, const Request&, cudaStream_t);
template reset::Status begin(const SamplerOf<reset::TextDelimiterDetector>&, const Request&, cudaStream_t);
template reset::Status begin(const SamplerOf<reset::FixedInterval>&, const Request&, cudaStream_t);
template reset::Status begin(const SamplerOf<reset::EntropyShift>&, const Request&, cudaStream_t);
template reset::Status begin(const SamplerOf<GatedDetector>&, const Request&, cudaStream_t);
template reset::Status begin(const SamplerOf<OwnDetector>&, const Request&, cudaStream_t);
template reset::Status step_of(const SamplerOf<reset::NoDetector>&, const Call&, cudaStream_t);
template reset::Status step_of(const SamplerOf<reset::TokenSetDetector>&, const Call&, cudaStream_t);
template reset::Status step_of(const SamplerOf<reset::TextDelimiterDetector>&, const Call&, cudaStream_t);
template reset::Status step_of(const SamplerOf<reset::FixedInterval>&, const Call&, cudaStream_t);
template reset::Status step_of(const SamplerOf<reset::EntropyShift>&, const Call&, cudaStream_t);
template reset::Status step_of(const SamplerOf<GatedDetector>&, const Call&, cudaStream_t);
template reset::Status step_of(const SamplerOf<OwnDetector>&, const Call&, cudaStream_t);

}  // namespace device_test
