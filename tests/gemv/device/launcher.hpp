// The entries of launch.cuh, and one of quantize.cuh, compiled once by nvcc and called from C++ files.
#pragma once

#include <cuda_runtime_api.h>

#include <reset/gemv/policy.hpp>
#include <reset/gemv/problem.hpp>
#include <reset/status.hpp>

reset::Status prepare(int device, reset::DeviceInfo& info);
// Some calls with a prefetch, others without: neither that nor `dependent` may change a bit.
reset::Status run(const reset::GemvProblem& problem, const reset::DeviceInfo& device, bool dependent,
                  cudaStream_t stream);
reset::Status run(const reset::GemvProblem& problem, const reset::GemvPolicy& policy, const reset::DeviceInfo& device,
                  bool dependent, cudaStream_t stream);
// bfloat16 rows, `ld` elements apart, as NVFP4 activations.
reset::Status quantize_rows(const void* x, std::int64_t ld, const reset::Nvfp4MutableMatrixView& out, bool dependent,
                            cudaStream_t stream);
