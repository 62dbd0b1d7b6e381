/// @file
/// What the launchers of quantize.cuh check, and the grids they choose.
#pragma once

#include <algorithm>
#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/nvfp4/activations.hpp>
#include <reset/nvfp4/detail/device_elements.cuh>
#include <reset/nvfp4/detail/memory_region.hpp>
#include <reset/nvfp4/detail/quantize_kernels.cuh>
#include <reset/nvfp4/matrix.hpp>

RESET_NAMESPACE_BEGIN

struct QuantizeOptions;
template <class T>
struct RmsNorm;

namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

template <class T>
static MemoryRegion element_region(const T* data, std::int64_t rows, std::int64_t cols, std::int64_t stride) noexcept {
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
  return {address(data), rows, cols * kBytes, stride * kBytes};
}

static inline Status overlapping(const char* name, const MemoryRegion& region, const char* expectation) noexcept {
  return invalid(name, static_cast<std::int64_t>(region.begin), expectation);
}

template <class T>
static Status validate_rows(const char* name, const T* data, const char* stride_name, std::int64_t stride,
                            std::int64_t cols) noexcept {
  if (data == nullptr) return invalid(name, 0, "not null");
  if (address(data) % alignof(T) != 0) {
    return invalid(name, static_cast<std::int64_t>(address(data)), "aligned for its type");
  }
  if (stride < cols)
    return invalid(stride_name, stride, "at least the columns of the matrix, twice those for silu_mul_quantize");
  if (stride > kMaxExtent) return invalid(stride_name, stride, "at most 2^31-1");
  return Status();
}

/// Whether an input overlaps what a quantiser writes.
static inline Status validate_disjoint(const char* name, const MemoryRegion& input,
                                       const Nvfp4MutableMatrixView& out) noexcept {
  const bool overlaps = overlap(input, packed_region(out)) || overlap(input, scale_region(out));
  return overlaps ? overlapping(name, input, "memory that does not overlap the result") : Status();
}

static inline Status validate_padding(const Nvfp4MutableMatrixView& out) noexcept {
  const MutableBlockScaleView& scale = out.block_scale;
  if (scale.row_origin != 0) return invalid("block_scale.row_origin", scale.row_origin, "0 with zero_scale_padding");
  if (scale.block_origin != 0) {
    return invalid("block_scale.block_origin", scale.block_origin, "0 with zero_scale_padding");
  }
  if (scale.stride != scale_stride(scale.layout, out.blocks())) {
    return invalid("block_scale.stride", scale.stride, "cols / 16 rounded up to 4 with zero_scale_padding");
  }
  return Status();
}

static inline Status validate_target(const Nvfp4MutableMatrixView& out, bool zero_scale_padding) noexcept {
  const Status status = validate_result(out);
  const bool padded = out.block_scale.layout == ScaleLayout::kSwizzled128x4;
  return status.ok() && zero_scale_padding && padded ? validate_padding(out) : status;
}

/// A global scale in device memory, or null.
static inline Status validate_global(const float* global, const Nvfp4MutableMatrixView& out) noexcept {
  if (global == nullptr) return Status();
  const Status status = validate_rows("global", global, "global", 1, 1);
  return status.ok() ? validate_disjoint("global", element_region(global, 1, 1, 1), out) : status;
}

/// `Options` is QuantizeOptions, which is complete where this is instantiated.
template <class T, class Options>
static Status validate_quantize(const T* x, std::int64_t ld, std::int64_t cols, const Nvfp4MutableMatrixView& out,
                                const Options& options) noexcept {
  Status status = validate_target(out, options.zero_scale_padding);
  if (status.ok()) status = validate_global(options.global, out);
  if (status.ok()) status = validate_rows("x", x, "ld", ld, cols);
  return status.ok() ? validate_disjoint("x", element_region(x, out.rows, cols, ld), out) : status;
}

/// The residual, which is written, against all that is read and the result.
template <class T>
static Status validate_residual(const MemoryRegion& residual, const MemoryRegion& x, const RmsNorm<T>& norm,
                                const float* global, const Nvfp4MutableMatrixView& out) noexcept {
  if (overlap(residual, x) || overlap(residual, element_region(norm.weight, 1, out.cols, out.cols)) ||
      (global != nullptr && overlap(residual, element_region(global, 1, 1, 1)))) {
    return overlapping("residual", residual, "memory that does not overlap x, weight or global");
  }
  return validate_disjoint("residual", residual, out);
}

template <class T>
static Status validate_norm(const T* x, std::int64_t ld, const RmsNorm<T>& norm, const float* global,
                            const Nvfp4MutableMatrixView& out) noexcept {
  if (!(bits_of(norm.epsilon) < kFloatInfinity)) {
    return Status(StatusCode::kInvalidArgument, "epsilon", static_cast<double>(norm.epsilon), "finite, 0 or more");
  }
  Status status = validate_rows("weight", norm.weight, "cols", out.cols, out.cols);
  if (status.ok()) status = validate_disjoint("weight", element_region(norm.weight, 1, out.cols, out.cols), out);
  if (!status.ok() || norm.residual == nullptr) return status;
  status = validate_rows("residual", norm.residual, "residual_stride", norm.residual_stride, out.cols);
  if (!status.ok()) return status;
  return validate_residual(element_region(norm.residual, out.rows, out.cols, norm.residual_stride),
                           element_region(x, out.rows, out.cols, ld), norm, global, out);
}

static inline Status validate_order(GateOrder order) noexcept {
  const bool known = order == GateOrder::kGateUp || order == GateOrder::kUpGate;
  return known ? Status() : invalid("order", static_cast<int>(order), "0 (kGateUp) or 1 (kUpGate)");
}

template <class Options>
static QuantizeTarget quantize_target(const Nvfp4MutableMatrixView& out, const Options& options) noexcept {
  return {out, options.global, rows_aligned(out.packed, out.rows, out.row_stride, 4),
          rows_aligned(out.block_scale.data, 1, 0, 4),
          options.zero_scale_padding && out.block_scale.layout == ScaleLayout::kSwizzled128x4};
}

/// CTAs of `threads` that clear the rows of the padding.
static inline std::int64_t padding_ctas(const QuantizeTarget& target, int threads) noexcept {
  if (!target.zero_padding) return 0;
  const std::int64_t rows = round_up(target.out.rows, kScaleTileRows) - target.out.rows;
  return (rows * (target.out.block_scale.stride / kScaleTileBlocks) + threads - 1) / threads;
}

inline constexpr std::int64_t kMaxCtas = 0x7fffffff;

static inline Status too_many_rows(std::int64_t rows) noexcept {
  return Status(StatusCode::kUnsupported, "rows", rows, "rows * ceil(cols / 2048) below 2^31");
}

template <class Source, class Options>
static Status launch_quantize(const Source& source, const Nvfp4MutableMatrixView& out, const Options& options,
                              cudaStream_t stream) noexcept {
  const QuantizeTarget target = quantize_target(out, options);
  const std::int64_t octets = out.cols / 8;
  const int threads = octets * out.rows < kManyOctets ? kFewQuantizeThreads : kQuantizeThreads;
  const std::int64_t chunks = (octets + threads - 1) / threads;
  const std::int64_t ctas = out.rows * chunks + padding_ctas(target, threads);
  if (ctas > kMaxCtas) return too_many_rows(out.rows);
  const LaunchShape shape{dim3(static_cast<unsigned>(ctas)), dim3(static_cast<unsigned>(threads)), 0,
                          options.dependent_launch};
  const auto kernel =
      source.aligned() && target.packed_aligned ? quantize_kernel<Source, true> : quantize_kernel<Source, false>;
  const Status status = check_dependent_launch(shape.dependent, kernel);
  return status.ok() ? launch(kernel, shape, stream, source, target, static_cast<unsigned>(chunks)) : status;
}

/// Rows of RMSNorm that several CTAs share each: those of a decode step.
inline constexpr std::int64_t kFewNormRows = 16;

template <class T, class Options>
static Status launch_rms_norm_quantize(const RmsSource<T>& source, const Nvfp4MutableMatrixView& out,
                                       const Options& options, cudaStream_t stream) noexcept {
  const QuantizeTarget target = quantize_target(out, options);
  const auto threads = static_cast<int>(std::min<std::int64_t>(round_up(target.out.cols / 8, 32), kSumLanes));
  const bool shared = out.rows <= kFewNormRows && source.residual.data == nullptr;
  const int parts = shared ? (threads + 32 * kNormPartWarps - 1) / (32 * kNormPartWarps) : 1;
  const std::int64_t ctas = out.rows * parts + padding_ctas(target, threads);
  if (ctas > kMaxCtas) return too_many_rows(out.rows);
  const LaunchShape shape{dim3(static_cast<unsigned>(ctas)), dim3(static_cast<unsigned>(threads)), 0,
                          options.dependent_launch};
  const auto kernel = source.aligned() && target.packed_aligned ? rms_norm_quantize_kernel<T, true>
                                                                : rms_norm_quantize_kernel<T, false>;
  const Status status = check_dependent_launch(shape.dependent, kernel);
  return status.ok() ? launch(kernel, shape, stream, source, target, static_cast<unsigned>(parts)) : status;
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
