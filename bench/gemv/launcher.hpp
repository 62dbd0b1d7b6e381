// The library's device entries behind plain functions: only launcher.cu and quantizers.cu compile kernels of it.
#pragma once

#include <cuda_runtime_api.h>

#include <reset/gemv/launch_options.hpp>
#include <reset/gemv/policy.hpp>
#include <reset/gemv/problem.hpp>

namespace bench {

// Ends the program where the status is not ok.
void require(const reset::Status& status);

reset::DeviceInfo prepare_device(int device);

// With the cut that the library selects, and with a given one.
void launch_gemv(const reset::GemvProblem& problem, const reset::DeviceInfo& device,
                 const reset::LaunchOptions& options, cudaStream_t stream);
void launch_gemv(const reset::GemvProblem& problem, const reset::GemvPolicy& policy, const reset::DeviceInfo& device,
                 const reset::LaunchOptions& options, cudaStream_t stream);

const char* name_of(reset::GemvKernel kernel);

}  // namespace bench
