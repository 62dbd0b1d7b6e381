// The library's launchers as this engine calls them: failures throw, and only mat_vec.cu compiles their kernels.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include <reset/gemv/policy.hpp>
#include <reset/gemv/prefetch.hpp>
#include <reset/gemv/problem.hpp>
#include <reset/nvfp4/matrix.hpp>

#include "stream.hpp"

namespace engine::cuda {

reset::DeviceInfo prepare_mat_vec(int device);

void mat_vec(const reset::GemvProblem& problem, const reset::GemvPolicy& policy, const reset::Prefetch& ahead,
             const reset::DeviceInfo& device, const Stream& stream);

void rms_norm_quantize(const __nv_bfloat16* x, std::int64_t ld, const __nv_bfloat16* weight, float epsilon,
                       const reset::Nvfp4MutableMatrixView& out, const Stream& stream);
void silu_mul_quantize(const __nv_bfloat16* gate_up, std::int64_t ld, const reset::Nvfp4MutableMatrixView& out,
                       const Stream& stream);
void dequantize(const reset::Nvfp4MatrixView& matrix, __nv_bfloat16* out, const Stream& stream);

}  // namespace engine::cuda
