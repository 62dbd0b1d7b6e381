/// @file
/// Bodies of the loops declared in quantize.hpp.
#pragma once

#include <cstdint>
#include <string>

#include <reset/nvfp4/detail/memory_region.hpp>
#include <reset/nvfp4/quantize.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Largest magnitude of a row by its bits; those of infinities and NaN are above all others.
inline std::int32_t largest_magnitude(const float* x, std::int64_t count) noexcept {
  std::int32_t largest = 0;
  for (std::int64_t k = 0; k < count; ++k) {
    const std::int32_t bits = static_cast<std::int32_t>(bits_of(x[k]) & kFloatMagnitude);
    largest = bits > largest ? bits : largest;
  }
  return largest;
}

[[noreturn]] inline void throw_not_finite(const float* x, std::int64_t count, std::int64_t row) {
  std::int64_t k = 0;
  while (k + 1 < count && is_finite(x[k])) ++k;
  const char* found = is_nan(x[k]) ? "nan" : bits_of(x[k]) >> 31 != 0 ? "-inf" : "inf";
  throw Error("invalid argument: x[row " + std::to_string(row) + ", column " + std::to_string(k) + "] is " + found +
              ", expected a finite value");
}

inline void check_weights(const float* channel_weights, std::int64_t cols) {
  for (std::int64_t k = 0; channel_weights != nullptr && k < cols; ++k) {
    const std::uint32_t bits = bits_of(channel_weights[k]);
    if (bits < kFloatInfinity || bits == 0x80000000u) continue;
    throw Error("invalid argument: channel_weights[" + std::to_string(k) + "] is " +
                (is_nan(channel_weights[k]) ? "nan" : std::to_string(channel_weights[k])) +
                ", expected a finite value of 0 or more");
  }
}

inline void check_rows(const float* x, std::int64_t ld, std::int64_t first_row, std::int64_t row_count,
                       const Nvfp4MutableMatrixView& out) {
  throw_if_failed(validate_result(out));
  if (ld < out.cols) throw_if_failed(invalid("ld", ld, "at least out.cols").bounded(out.cols));
  if (first_row < 0 || first_row > out.rows) throw_if_failed(invalid("first_row", first_row, "0..out.rows"));
  if (row_count < 0 || row_count > out.rows - first_row) {
    throw_if_failed(invalid("row_count", row_count, "0..out.rows - first_row").bounded(out.rows - first_row));
  }
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(float));
  const MemoryRegion values = {address(x), row_count, out.cols * kBytes, row_count > 1 ? ld * kBytes : 0};
  if (row_count > 0 && (overlap(values, packed_region(out)) || overlap(values, scale_region(out)))) {
    throw_if_failed(invalid("x", static_cast<std::int64_t>(values.begin), "memory that does not overlap the result"));
  }
}

}  // namespace detail

inline float tensor_amax(const float* x, std::int64_t rows, std::int64_t cols, std::int64_t ld,
                         std::int64_t first_row) {
  if (x == nullptr && rows > 0) throw_if_failed(detail::invalid("x", 0, "not null"));
  if (ld < cols) throw_if_failed(detail::invalid("ld", ld, "at least cols"));
  std::int32_t largest = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int32_t bits = detail::largest_magnitude(x + row * ld, cols);
    if (static_cast<std::uint32_t>(bits) >= detail::kFloatInfinity) {
      detail::throw_not_finite(x + row * ld, cols, first_row + row);
    }
    largest = bits > largest ? bits : largest;
  }
  return detail::float_from_bits(static_cast<std::uint32_t>(largest));
}

template <class Rule>
void quantize_rows(const Rule& rule, const float* x, std::int64_t ld, std::int64_t first_row, std::int64_t row_count,
                   const float* channel_weights, const Nvfp4MutableMatrixView& out) {
  detail::check_rows(x, ld, first_row, row_count, out);
  detail::check_weights(channel_weights, out.cols);
  static_cast<void>(tensor_amax(x, row_count, out.cols, ld, first_row));  // for what it refuses

  for (std::int64_t i = 0; i < row_count; ++i) {
    const std::int64_t row = first_row + i;
    const GlobalScale global = out.global.at(row);
    for (std::int64_t b = 0; b < out.blocks(); ++b) {
      const std::int64_t k = b * kNvfp4BlockSize;
      const Nvfp4Block block = rule(x + i * ld + k, global, channel_weights == nullptr ? nullptr : channel_weights + k);
      std::uint8_t* packed = out.packed + row * out.row_stride + nibble_byte(k);
      for (int byte = 0; byte < 8; ++byte) packed[byte] = block.packed[byte];
      out.block_scale.data[out.block_scale.offset(row, b)] = block.scale;
    }
  }
}

RESET_NAMESPACE_END
