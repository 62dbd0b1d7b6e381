/// @file
/// The kernel behind dequantize.cuh.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/nvfp4/detail/device_elements.cuh>
#include <reset/nvfp4/detail/quantize_launch.cuh>
#include <reset/nvfp4/e4m3.hpp>
#include <reset/nvfp4/matrix.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

inline constexpr int kDequantizeThreads = 256;
/// Octets a thread has in flight.
inline constexpr int kDequantizeDepth = 4;

/// Eight codes, lowest nibble first, as floats times 2^-14: shifted into the exponent and significand of half
/// precision, codes read as their values times 2^-14, subnormals included.
static __device__ __forceinline__ void decode_octet(std::uint32_t codes, float (&values)[8]) {
  const std::uint32_t even = ((codes << 1) & 0x0e0e0e0eu) | ((codes << 4) & 0x80808080u);
  const std::uint32_t odd = ((codes >> 3) & 0x0e0e0e0eu) | (codes & 0x80808080u);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    values[2 * i] = __half2float(__ushort_as_half(static_cast<unsigned short>((even >> (8 * i)) << 8)));
    values[2 * i + 1] = __half2float(__ushort_as_half(static_cast<unsigned short>((odd >> (8 * i)) << 8)));
  }
}

static __device__ __forceinline__ std::uint32_t load_codes(const std::uint8_t* from, bool aligned) {
  if (aligned) return *reinterpret_cast<const std::uint32_t*>(from);
  return from[0] | std::uint32_t{from[1]} << 8 | std::uint32_t{from[2]} << 16 | std::uint32_t{from[3]} << 24;
}

/// An octet of the matrix on its way.
struct PackedOctet {
  std::int64_t row;
  std::uint32_t octet;
  std::uint32_t codes;
  std::uint8_t scale;
};

/// value = T((e2m1 * e4m3) * global), the first product exact.
template <class T>
static __device__ __forceinline__ Octet<T> dequantize_octet(const PackedOctet& packed, GlobalScale global) {
  const float scale = e4m3_to_float(packed.scale) * 0x1p14f;
  float values[8];
  decode_octet(packed.codes, values);
  Octet<T> octet;
#pragma unroll
  for (int i = 0; i < 8; ++i) octet.element[i] = round_element<T>(mul_rn(values[i] * scale, global.value));
  return octet;
}

/// The matrix as one sequence of octets, of which a CTA takes kDequantizeDepth * kDequantizeThreads.
template <class T>
static __global__ __launch_bounds__(kDequantizeThreads) void dequantize_kernel(Nvfp4MatrixView weights,
                                                                               bool packed_aligned,
                                                                               ElementRows<T> out) {
  release_dependents();
  const std::uint32_t octets = static_cast<std::uint32_t>(weights.cols / 8);
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * (kDequantizeThreads * kDequantizeDepth);
  const std::int64_t first_row = first / octets;
  const std::uint32_t first_octet = static_cast<std::uint32_t>(first - first_row * octets) + threadIdx.x;
  PackedOctet packed[kDequantizeDepth];
#pragma unroll
  for (int i = 0; i < kDequantizeDepth; ++i) {
    const std::uint32_t offset = first_octet + i * kDequantizeThreads;
    packed[i].row = first_row + offset / octets;
    packed[i].octet = offset % octets;
    if (packed[i].row >= weights.rows) continue;
    packed[i].codes =
        load_codes(weights.packed + packed[i].row * weights.row_stride + packed[i].octet * 4ll, packed_aligned);
    packed[i].scale = weights.block_scale.data[weights.block_scale.offset(packed[i].row, packed[i].octet / 2)];
  }
  wait_for_dependencies();
#pragma unroll
  for (int i = 0; i < kDequantizeDepth; ++i) {
    if (packed[i].row >= weights.rows) continue;
    const Octet<T> octet = dequantize_octet<T>(packed[i], weights.global.at(packed[i].row));
    octet.store(out.data + packed[i].row * out.stride + packed[i].octet * 8ll, out.aligned);
  }
}

template <class T>
static Status validate_dequantize(const Nvfp4MatrixView& weights, const T* out, std::int64_t ld) noexcept {
  Status status = validate(weights);
  if (status.ok()) status = validate_rows("out", out, "ld", ld, weights.cols);
  if (!status.ok()) return status;
  const Extent written = extent_of_rows(out, weights.rows, weights.cols, ld);
  if (overlap(written, extent_of_rows(weights.packed, weights.rows, weights.cols / 2, weights.row_stride)) ||
      overlap(written, extent_of_scales(weights))) {
    return invalid("out", static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(out)),
                   "memory that does not overlap the weights");
  }
  constexpr std::int64_t kMaxElements = std::int64_t{1} << 44;
  if (weights.rows > kMaxElements / weights.cols) {
    return Status(StatusCode::kUnsupported, "rows", weights.rows, "at most 2^44 / cols");
  }
  return status;
}

template <class T>
static Status launch_dequantize(const Nvfp4MatrixView& weights, T* out, std::int64_t ld, bool dependent,
                                cudaStream_t stream) noexcept {
  constexpr std::int64_t kElementsOfCta = kDequantizeThreads * kDequantizeDepth * 8;
  const std::int64_t ctas = (weights.rows * weights.cols + kElementsOfCta - 1) / kElementsOfCta;
  const LaunchShape shape{dim3(static_cast<unsigned>(ctas)), dim3(kDequantizeThreads), 0, dependent};
  return launch(dequantize_kernel<T>, shape, stream, weights,
                rows_aligned(weights.packed, weights.rows, weights.row_stride, 4), element_rows(out, weights.rows, ld));
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
