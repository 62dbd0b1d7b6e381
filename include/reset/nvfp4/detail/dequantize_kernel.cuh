/// @file
/// The kernel behind dequantize.cuh.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/nvfp4/detail/device_elements.cuh>
#include <reset/nvfp4/detail/e2m1_halves.cuh>
#include <reset/nvfp4/detail/memory_region.hpp>
#include <reset/nvfp4/detail/quantize_launch.cuh>
#include <reset/nvfp4/e4m3.hpp>
#include <reset/nvfp4/matrix.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

inline constexpr int kDequantizeThreads = 128;
/// Rows of a CTA; a thread has one octet of each in flight.
inline constexpr int kDequantizeRows = 8;

static __device__ __forceinline__ std::uint32_t load_codes(const std::uint8_t* from, bool aligned) {
  if (aligned) return *reinterpret_cast<const std::uint32_t*>(from);
  return from[0] | std::uint32_t{from[1]} << 8 | std::uint32_t{from[2]} << 16 | std::uint32_t{from[3]} << 24;
}

/// value = T((e2m1 * e4m3) * global), the first product exact.
template <class T>
static __device__ __forceinline__ Octet<T> dequantize_octet(std::uint32_t codes, std::uint8_t scale_code,
                                                            GlobalScale global) {
  const float scale = e4m3_to_float(scale_code) * kScaledUnit;
  float values[8];
  decode_octet(codes, values);
#pragma unroll
  for (int i = 0; i < 8; ++i) values[i] = mul_rn(values[i] * scale, global.value);
  return round_octet<T>(values);
}

/// `chunks` CTAs in a row share kDequantizeRows rows.
template <class T>
static __global__ __launch_bounds__(kDequantizeThreads) void dequantize_kernel(Nvfp4MatrixView weights,
                                                                               bool packed_aligned, ElementRows<T> out,
                                                                               unsigned chunks) {
  release_dependents();
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.x / chunks) * kDequantizeRows;
  const std::int64_t octet = static_cast<std::int64_t>(blockIdx.x % chunks) * kDequantizeThreads + threadIdx.x;
  const int rows = static_cast<int>(min(weights.rows - first_row, std::int64_t{kDequantizeRows}));
  const bool present = octet < weights.cols / 8;
  std::uint32_t codes[kDequantizeRows];
  std::uint8_t scales[kDequantizeRows];
  const BlockScaleView& scale = weights.block_scale;
  // In both layouts the offset is one of the row plus one of the block.
  const std::int64_t block_offset = scale_offset(scale.layout, scale.stride, 0, scale.block_origin + octet / 2);
#pragma unroll
  for (int i = 0; i < kDequantizeRows; ++i) {
    if (i >= rows || !present) continue;
    const std::int64_t row = first_row + i;
    codes[i] = load_codes(weights.packed + row * weights.row_stride + octet * 4, packed_aligned);
    scales[i] = scale.data[scale_offset(scale.layout, scale.stride, scale.row_origin + row, 0) + block_offset];
  }
  wait_for_dependencies();
#pragma unroll
  for (int i = 0; i < kDequantizeRows; ++i) {
    if (i >= rows || !present) continue;
    const std::int64_t row = first_row + i;
    const Octet<T> values = dequantize_octet<T>(codes[i], scales[i], weights.global.at(row));
    values.store(out.data + row * out.stride + octet * 8, out.aligned);
  }
}

static inline std::int64_t dequantize_chunks(std::int64_t cols) noexcept {
  return (cols / 8 + kDequantizeThreads - 1) / kDequantizeThreads;
}

template <class T>
static Status validate_dequantize(const Nvfp4MatrixView& weights, const T* out, std::int64_t ld) noexcept {
  Status status = validate(weights);
  if (status.ok()) status = validate_rows("out", out, "ld", ld, weights.cols);
  if (!status.ok()) return status;
  const MemoryRegion written = element_region(out, weights.rows, weights.cols, ld);
  if (overlap(written, packed_region(weights)) || overlap(written, scale_region(weights))) {
    return overlapping("out", written, "memory that does not overlap the weights");
  }
  if ((weights.rows + kDequantizeRows - 1) / kDequantizeRows > kMaxCtas / dequantize_chunks(weights.cols)) {
    return Status(StatusCode::kUnsupported, "rows", weights.rows, "ceil(rows / 8) * ceil(cols / 1024) below 2^31");
  }
  return status;
}

template <class T>
static Status launch_dequantize(const Nvfp4MatrixView& weights, T* out, std::int64_t ld, bool dependent,
                                cudaStream_t stream) noexcept {
  const std::int64_t chunks = dequantize_chunks(weights.cols);
  const std::int64_t ctas = (weights.rows + kDequantizeRows - 1) / kDequantizeRows * chunks;
  const LaunchShape shape{dim3(static_cast<unsigned>(ctas)), dim3(kDequantizeThreads), 0, dependent};
  const Status status = check_dependent_launch(dependent, dequantize_kernel<T>);
  if (!status.ok()) return status;
  return launch(dequantize_kernel<T>, shape, stream, weights,
                rows_aligned(weights.packed, weights.rows, weights.row_stride, 4), element_rows(out, weights.rows, ld),
                static_cast<unsigned>(chunks));
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
