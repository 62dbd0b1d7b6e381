// The device sampler, compiled once by nvcc and called from C++ files.
#pragma once

#include <cuda_runtime_api.h>

#include <reset/sampler/boundary/token_set.hpp>
#include <reset/sampler/device_sampler.hpp>

namespace bench {

using DeviceSampler = reset::ReSETSampler<reset::TokenSetDetector, reset::DeviceBackend>;

reset::Status prepare(int device, reset::SamplerDevice& info);
reset::Status initialize(const DeviceSampler& sampler, cudaStream_t stream);
reset::Status add(const DeviceSampler& sampler, std::int32_t slot, const reset::RequestParams& request,
                  cudaStream_t stream);
template <class T>
reset::Status step(const DeviceSampler& sampler, const reset::SamplerCall<T>& call, const reset::SamplerLaunch& options,
                   cudaStream_t stream);

}  // namespace bench
