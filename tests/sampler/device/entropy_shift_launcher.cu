// The detector that computes with floats.
#include "sampler/device/detector_launcher.cuh"

namespace device_test {

template reset::Status begin(const SamplerOf<reset::EntropyShift>&, const Request&, cudaStream_t);
template reset::Status step_of(const SamplerOf<reset::EntropyShift>&, const Call&, cudaStream_t);

}  // namespace device_test
