// The library's quantisers of bf16 activations, as dependent launches, behind plain functions.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include <reset/nvfp4/matrix.hpp>

namespace bench {

// M x K values of x, `ld` elements from one row to the next.
void launch_quantize(const void* x, std::int64_t ld, const reset::Nvfp4MutableMatrixView& out, cudaStream_t stream);

// RMSNorm of x + residual, which replaces the residual.
void launch_rms_norm_quantize(const void* x, std::int64_t ld, const void* weight, void* residual,
                              const reset::Nvfp4MutableMatrixView& out, cudaStream_t stream);

// SiLU of the first K values of a row of 2 K, times the others.
void launch_silu_mul_quantize(const void* x, std::int64_t ld, const reset::Nvfp4MutableMatrixView& out,
                              cudaStream_t stream);

}  // namespace bench
