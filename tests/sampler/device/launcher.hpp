// The launchers of reset_sampler.cuh for one detector, compiled once by nvcc and called from C++ files.
#pragma once

#include <cuda_runtime_api.h>

#include <reset/sampler/device_sampler.hpp>

#include "sampler/boundary_cuda.hpp"

namespace device_test {

// All detectors of the library at once.
using Detector = boundary_test::Everything;
using DeviceSampler = reset::ReSETSampler<Detector, reset::DeviceBackend>;
using HostSampler = reset::ReSETSampler<Detector>;

reset::Status prepare(int device, reset::SamplerDevice& info);
reset::Status initialize(const DeviceSampler& sampler, cudaStream_t stream);
reset::Status add(const DeviceSampler& sampler, std::int32_t slot, const reset::RequestParams& request,
                  cudaStream_t stream);
reset::Status update(const DeviceSampler& sampler, std::int32_t slot, const reset::RequestParams& request,
                     cudaStream_t stream);
reset::Status commit(const DeviceSampler& sampler, const reset::SamplerCommit& commit, cudaStream_t stream);
reset::Status export_state(const DeviceSampler& sampler, std::int32_t slot, DeviceSampler::State* state,
                           cudaStream_t stream);
reset::Status import_state(const DeviceSampler& sampler, std::int32_t slot, const DeviceSampler::State& state,
                           cudaStream_t stream);
template <class T>
reset::Status step(const DeviceSampler& sampler, const reset::SamplerCall<T>& call, const reset::SamplerLaunch& options,
                   cudaStream_t stream);
template <class T>
reset::Status apply(const DeviceSampler& sampler, const reset::SamplerCall<T>& call,
                    const reset::SamplerLaunch& options, cudaStream_t stream);

}  // namespace device_test
