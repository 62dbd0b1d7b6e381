// The library's device entries behind plain functions: only launcher.cu and quantizers.cu compile kernels of it.
#pragma once

#include <cuda_runtime_api.h>

#include <reset/gemv/policy.hpp>
#include <reset/gemv/problem.hpp>

namespace bench {

// Ends the program where the status is not ok.
void require(const reset::Status& status);

reset::DeviceInfo prepare_device(int device);

void launch_gemv(const reset::GemvProblem& problem, const reset::DeviceInfo& device, bool pdl, cudaStream_t stream);

// Launched as a dependent, with the first rows of `next` to be brought into the cache.
void launch_gemv(const reset::GemvProblem& problem, const reset::Nvfp4MatrixView& next, const reset::DeviceInfo& device,
                 cudaStream_t stream);

// With a given cut.
void launch_gemv(const reset::GemvProblem& problem, const reset::GemvPolicy& policy, const reset::DeviceInfo& device,
                 bool pdl, cudaStream_t stream);

const char* name_of(reset::GemvKernel kernel);

}  // namespace bench
