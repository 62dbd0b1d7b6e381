/// @file
/// What an NVFP4 matrix means: exact dequantisation, the float64 oracle every kernel is held to, and the fast mat-vec
/// of the host.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/rounding.hpp>
#include <reset/nvfp4/detail/host_gemv.hpp>
#include <reset/nvfp4/detail/host_lanes.hpp>
#include <reset/nvfp4/e2m1.hpp>
#include <reset/nvfp4/e4m3.hpp>
#include <reset/nvfp4/layout.hpp>
#include <reset/nvfp4/matrix.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// Element (row, col) of a valid view, e2m1 * e4m3 * global: 30 significant bits, exact in double.
RESET_HOST_DEVICE constexpr double dequantize(const Nvfp4MatrixView& view, std::int64_t row,
                                              std::int64_t col) noexcept {
  const int byte = view.packed[row * view.row_stride + nibble_byte(col)];
  const std::uint8_t scale = view.block_scale.data[view.block_scale.offset(row, col / kNvfp4BlockSize)];
  return static_cast<double>(e2m1_to_float(static_cast<std::uint8_t>((byte >> nibble_shift(col)) & 15))) *
         static_cast<double>(e4m3_to_float(scale)) * detail::widen(view.global.at(row).value);
}

/// Row `row` of a valid view as floats: out[k], k < cols, each the exact value rounded once.
inline void dequantize_row(const Nvfp4MatrixView& view, std::int64_t row, float* out) noexcept {
  for (std::int64_t k = 0; k < view.cols; ++k) out[k] = detail::narrow(dequantize(view, row, k));
}

/// The oracle: y[m * ldy + n] = sum over k of x[m * ldx + k] * W[n][k] in double, W exact, for all n; x is M x K of
/// float or double. For tests, not for speed. The leading dimensions count values and matter for M > 1 only.
template <class Activation>
Status reference_gemv(const Nvfp4MatrixView& view, const Activation* x, std::int64_t M, std::int64_t ldx, double* y,
                      std::int64_t ldy) noexcept {
  const Status status = detail::validate_gemv(view, x, M, ldx, y, ldy);
  if (!status.ok()) return status;
  for (std::int64_t n = 0; n < view.rows; ++n) {
    for (std::int64_t m = 0; m < M; ++m) y[m * ldy + n] = 0;
    for (std::int64_t k = 0; k < view.cols; ++k) {
      const double weight = dequantize(view, n, k);
      for (std::int64_t m = 0; m < M; ++m) y[m * ldy + n] += weight * static_cast<double>(x[m * ldx + k]);
    }
  }
  return Status();
}

/// The host mat-vec: y[m * ldy + n] = sum over k of x[m * ldx + k] * W[n][k] in float, for row_begin <= n < row_end;
/// other elements of y are not touched, so threads share a matrix by ranges of rows. M is 1 or more; every 16 tokens
/// decode the weights once. The leading dimensions count values and matter for M > 1 only. y is apart from x and the
/// weights.
///
/// It allocates nothing, uses a few KB of stack and all the vector width that the translation unit is compiled for
/// (128 bits under nvcc, which cannot read the intrinsics).
/// The bits of a token's results depend on that alone, not on the other tokens nor on the range of rows.
///
/// Error bound, element by element, u = 2^-24: |y - exact| <= (K/16 + 32) u sum_k |x_k W_nk| + (K global + 1) 2^-125
/// (the last term is what a processor that flushes subnormals may lose), if the sums divided by the global scale stay
/// below the largest float.
///
/// Returns kInvalidArgument, and writes nothing, for a view that `validate` refuses, null pointers, M < 1, leading
/// dimensions below K (x) or N (y), or a range outside 0..N.
template <class Lanes = detail::HostLanes>
Status host_gemv(const Nvfp4MatrixView& view, const float* x, std::int64_t M, std::int64_t ldx, float* y,
                 std::int64_t ldy, std::int64_t row_begin, std::int64_t row_end) noexcept {
  const Status status = detail::validate_gemv(view, x, M, ldx, y, ldy);
  if (!status.ok()) return status;
  if (row_begin < 0) return detail::invalid("row_begin", row_begin, "0 or more");
  if (row_end > view.rows) return detail::invalid("row_end", row_end, "at most rows").bounded(view.rows);
  if (row_begin > row_end) return detail::invalid("row_begin", row_begin, "at most row_end");
  for (std::int64_t m = 0; m < M; m += detail::kHostTokens) {
    const std::int64_t tokens = M - m < detail::kHostTokens ? M - m : detail::kHostTokens;
    const auto gemv = view.block_scale.layout == ScaleLayout::kLinear
                          ? detail::gemv_tokens<Lanes, detail::LinearScales>
                          : detail::gemv_tokens<Lanes, detail::SwizzledScales>;
    gemv(view, x + m * ldx, tokens, ldx, y + m * ldy, ldy, row_begin, row_end);
  }
  return Status();
}

RESET_NAMESPACE_END
