/// @file
/// Quantisation of activations to NVFP4 on the device: as they lie, after RMSNorm, or as SiLU times up, one kernel
/// each, which never allocates nor synchronises and can be captured in a graph; and the same in kernels of the engine's
/// own.
///
/// The result is that of `RoundToNearest` on the host, bit for bit, for the same values and global scale. What the rule
/// leaves open is defined here: an infinity counts as a magnitude beyond all others (scale 448, element 6); a NaN makes
/// the scale of its block NaN (0x7f) and its elements zero; so does, for every block, a global scale in device memory
/// that `is_valid` refuses.
///
/// Rows: `x` holds M = out.rows rows, `ld` elements apart, of `__half`, `__nv_bfloat16` or `float`, which is T. All
/// pointers need the alignment of their type only; rows that begin at multiples of 16 bytes are faster. The global
/// scales are those that `out` carries (one, or one for each part of the rows), or one in device memory.
///
/// A dependent launch starts while the kernel ahead of it in the stream still runs and waits for it before it reads or
/// writes anything but the norm's weights, which that kernel must not write. Every launch lets its own dependents start
/// at once.
///
/// Each launcher returns kInvalidArgument, and launches nothing, for a view that `validate` refuses, a null or
/// misaligned pointer, a leading dimension below the columns it holds or beyond 2^31 - 1, inputs that overlap outputs
/// (column ranges of one buffer do not), codes of the result that overlap its scales, or zero_scale_padding on a view
/// of a part; kUnsupported for more rows than a grid can have, a device this code is not compiled for, or a dependent
/// launch of code for less than sm_90; kCudaError with the runtime's code if the launch itself fails.
#pragma once

#if !defined(__CUDACC__)
#error "reset/nvfp4/quantize.cuh holds kernels: include it where nvcc compiles, and quantize.hpp elsewhere"
#else
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "the quantisers of reset need sm_80 or later: set CMAKE_CUDA_ARCHITECTURES, or the -arch of nvcc"
#endif

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/nvfp4/activations.hpp>
#include <reset/nvfp4/detail/quantize_kernels.cuh>
#include <reset/nvfp4/detail/quantize_launch.cuh>
#include <reset/nvfp4/matrix.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// How a device quantiser runs.
struct QuantizeOptions {
  /// One global scale in device memory, read by the kernel, in place of those that the view carries; or null. It
  /// multiplies, as GlobalScale does. The view's own must be valid all the same: set 1, which is what a mat-vec then
  /// wants of it, with this pointer as its `GemvProblem::alpha.device`.
  const float* global = nullptr;
  /// Write zeros to the padding of swizzled scales: rows M .. round_up(M, 128) and blocks up to the stride. The view
  /// must be the whole tensor then: origins 0, stride as `scale_stride` gives it. Linear scales have no padding.
  bool zero_scale_padding = false;
  /// Launch as a dependent of the kernel ahead in the stream; needs compute capability 9.0, and this file compiled for
  /// it: code for less, which a later device takes too, knows no wait and is refused. In a chain every launch sets it,
  /// the mat-vecs' LaunchOptions too.
  bool dependent_launch = false;
};

/// What RMSNorm needs beside the activations.
template <class T>
struct RmsNorm {
  const T* weight = nullptr;         ///< K factors, one a channel.
  float epsilon = 1e-6f;             ///< Added to the mean square; finite, 0 or more.
  T* residual = nullptr;             ///< M x K, apart from x, or null: added to x first, and replaced by the sum.
  std::int64_t residual_stride = 0;  ///< Elements from one row of `residual` to the next, K .. 2^31 - 1.
};

inline namespace RESET_ARCH_NAMESPACE {

/// Quantises the M x K values of x.
template <class T>
[[nodiscard]] static Status quantize_activations(const T* x, std::int64_t ld, const Nvfp4MutableMatrixView& out,
                                                 const QuantizeOptions& options, cudaStream_t stream) noexcept {
  static_assert(detail::is_element_v<T>, "x is of __half, __nv_bfloat16 or float");
  const Status status = detail::validate_quantize(x, ld, out.cols, out, options);
  if (!status.ok()) return status;
  const detail::PlainSource<T> source{detail::element_rows(x, out.rows, ld)};
  return detail::launch_quantize(source, out, options, stream);
}

/// RMSNorm of the M x K values of x, quantised. In float, each operation rounded once:
/// s = x, or x + residual rounded to T, which is written to `residual`;
/// y = (s * rms_reciprocal(sum_of_squares(s), K, epsilon)) * weight, which is `rms_norm_row`; y is quantised.
template <class T>
[[nodiscard]] static Status rms_norm_quantize(const T* x, std::int64_t ld, const RmsNorm<T>& norm,
                                              const Nvfp4MutableMatrixView& out, const QuantizeOptions& options,
                                              cudaStream_t stream) noexcept {
  static_assert(detail::is_element_v<T>, "x is of __half, __nv_bfloat16 or float");
  Status status = detail::validate_quantize(x, ld, out.cols, out, options);
  if (status.ok()) status = detail::validate_norm(x, ld, norm, options.global, out);
  if (!status.ok()) return status;
  const detail::RmsSource<T> source{detail::element_rows(x, out.rows, ld),
                                    detail::element_rows(norm.residual, out.rows, norm.residual_stride),
                                    detail::element_rows(norm.weight, 1, out.cols), norm.epsilon};
  return detail::launch_rms_norm_quantize(source, out, options, stream);
}

/// SiLU times up, quantised: x holds M rows of 2 K values, gate and up in the order named; the K values
/// silu(gate) * up, in float, which is `silu_mul_row`, are quantised.
template <class T>
[[nodiscard]] static Status silu_mul_quantize(const T* x, std::int64_t ld, GateOrder order,
                                              const Nvfp4MutableMatrixView& out, const QuantizeOptions& options,
                                              cudaStream_t stream) noexcept {
  static_assert(detail::is_element_v<T>, "x is of __half, __nv_bfloat16 or float");
  Status status = detail::validate_quantize(x, ld, 2 * out.cols, out, options);
  if (status.ok()) status = detail::validate_order(order);
  if (!status.ok()) return status;
  const auto first = detail::element_rows(x, out.rows, ld);
  const auto second = detail::element_rows(x + out.cols, out.rows, ld);
  const bool gate_first = order == GateOrder::kGateUp;
  const detail::SiluMulSource<T> source{gate_first ? first : second, gate_first ? second : first};
  return detail::launch_quantize(source, out, options, stream);
}

/// In a kernel of the engine's own, quantises what its threads have computed, where they have it: the merge of
/// attention's parts, say. A lane brings the eight values of columns 8 * octet and on of row `row` of `out`, which
/// `validate` accepts (on the host, before the launch); the kernel takes the view by value. Where `global` is not null,
/// the scale it points to in device memory rules, and that of the view is to be 1, as QuantizeOptions::global has it.
/// The values are quantised as they are: those of `silu_mul_quantize`, say, have not been rounded to T before
/// (`reset::silu` and what else it computes are there for kernels, too).
///
/// All 32 lanes of a warp call it together, none having returned before. Lanes 2 i and 2 i + 1 bring octets 2 j and
/// 2 j + 1 of one row, which are a block, or both bring `present` = false, and any row and octet. In a dependent launch
/// it comes behind the wait. Memory that the kernel reads must not overlap `out`. Padding of swizzled scales is left
/// alone. Rows of `packed` that begin at multiples of 4 bytes are faster.
static __device__ __forceinline__ void quantize_octet(const float (&values)[8], std::int64_t row, std::int64_t octet,
                                                      bool present, const Nvfp4MutableMatrixView& out,
                                                      const float* global = nullptr) {
  const detail::OctetPlace place(out, row, octet);
  const detail::GlobalFactor factor(global == nullptr ? out.global.at(row) : GlobalScale{*global});
  const bool aligned = reinterpret_cast<std::uintptr_t>(place.packed) % 4 == 0;
  detail::quantize_octet<false>(values, place, present, factor, aligned);
}

}  // namespace RESET_ARCH_NAMESPACE
RESET_NAMESPACE_END

#endif
