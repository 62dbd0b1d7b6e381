// Detectors that compute with integers alone.
#include "sampler/device/detector_launcher.cuh"

namespace device_test {

template reset::Status begin(const SamplerOf<reset::NoDetector>&, const Request&, cudaStream_t);
template reset::Status begin(const SamplerOf<reset::TokenSetDetector>&, const Request&, cudaStream_t);
template reset::Status begin(const SamplerOf<reset::TextDelimiterDetector>&, const Request&, cudaStream_t);
template reset::Status begin(const SamplerOf<reset::FixedInterval>&, const Request&, cudaStream_t);
template reset::Status begin(const SamplerOf<GatedDetector>&, const Request&, cudaStream_t);
template reset::Status begin(const SamplerOf<OwnDetector>&, const Request&, cudaStream_t);
template reset::Status step_of(const SamplerOf<reset::NoDetector>&, const Call&, cudaStream_t);
template reset::Status step_of(const SamplerOf<reset::TokenSetDetector>&, const Call&, cudaStream_t);
template reset::Status step_of(const SamplerOf<reset::TextDelimiterDetector>&, const Call&, cudaStream_t);
template reset::Status step_of(const SamplerOf<reset::FixedInterval>&, const Call&, cudaStream_t);
template reset::Status step_of(const SamplerOf<GatedDetector>&, const Call&, cudaStream_t);
template reset::Status step_of(const SamplerOf<OwnDetector>&, const Call&, cudaStream_t);

}  // namespace device_test
