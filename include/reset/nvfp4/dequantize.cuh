/// @file
/// Dequantisation of a weight matrix on the device, so that the engine's matrix product for many tokens (prefill) works
/// on the checkpoint memory that the mat-vec reads.
#pragma once

#if !defined(__CUDACC__)
#error "reset/nvfp4/dequantize.cuh holds kernels: include it where nvcc compiles, and reference.hpp elsewhere"
#else
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "the dequantiser of reset needs sm_80 or later: set CMAKE_CUDA_ARCHITECTURES, or the -arch of nvcc"
#endif

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/nvfp4/detail/dequantize_kernel.cuh>
#include <reset/nvfp4/matrix.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// How a dequantisation runs.
struct DequantizeOptions {
  /// Launch as a dependent of the kernel ahead in the stream, which must not write the weights: they are read before
  /// the wait, out is written after it. Needs compute capability 9.0, and this file compiled for it: code for less,
  /// which a later device takes too, knows no wait and is refused.
  bool dependent_launch = false;
};

inline namespace RESET_ARCH_NAMESPACE {

/// Writes the N x K values of `weights` to out[n * ld + k], of `__nv_bfloat16`, `__half` or `float`: the float that
/// `dequantize_row` gives on the host, rounded to T, nearest, ties to even, overflow to infinity. A NaN scale gives
/// NaN. Both scale layouts, parts with their own global scales, parts of tensors, and any stride and alignment the view
/// can have; rows at multiples of 4 bytes in and 16 bytes out are faster.
///
/// One kernel, which never allocates nor synchronises and can be captured in a graph. Returns kInvalidArgument, and
/// launches nothing, for a view that `validate` refuses, a null or misaligned `out`, an ld outside K .. 2^31 - 1, or an
/// `out` that overlaps the weights or their scales; kUnsupported for more rows than a grid can have, a device this code
/// is not compiled for, or a dependent launch of code for less than sm_90; kCudaError with the runtime's code if the
/// launch itself fails.
template <class T>
[[nodiscard]] static Status dequantize_matrix(const Nvfp4MatrixView& weights, T* out, std::int64_t ld,
                                              const DequantizeOptions& options, cudaStream_t stream) noexcept {
  static_assert(detail::is_element_v<T>, "out is of __nv_bfloat16, __half or float");
  const Status status = detail::validate_dequantize(weights, out, ld);
  return status.ok() ? detail::launch_dequantize(weights, out, ld, options.dependent_launch, stream) : status;
}

}  // namespace RESET_ARCH_NAMESPACE
RESET_NAMESPACE_END

#endif
