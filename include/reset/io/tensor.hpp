/// @file
/// A tensor of a file, where it lies, and its elements as floats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <reset/detail/rounding.hpp>
#include <reset/io/detail/message.hpp>
#include <reset/io/dtype.hpp>

RESET_NAMESPACE_BEGIN

/// One tensor of a safetensors file, in place: valid as long as the file (or buffer) it came from.
struct TensorView {
  std::string name;                    ///< Its name in the file.
  DType dtype = DType::kU8;            ///< Element type.
  std::vector<std::int64_t> shape;     ///< Extents, slowest first; empty for a scalar. An extent may be 0.
  const std::uint8_t* data = nullptr;  ///< First byte. Files promise no alignment: read elements through `memcpy`.
  std::size_t bytes = 0;  ///< Size of the data: the product of `shape` times the bits of an element, in bytes.
  std::string_view file;  ///< What the messages call the file; it lives as long as the data.

  /// Number of elements.
  std::int64_t size() const noexcept { return static_cast<std::int64_t>(bytes * 8 / dtype_bits(dtype)); }
};

/// What a file will hold under one name: how writers declare a tensor.
struct TensorSpec {
  std::string name;                 ///< Its name in the file.
  DType dtype = DType::kU8;         ///< Element type.
  std::vector<std::int64_t> shape;  ///< Extents, slowest first; empty for a scalar.
};

/// The tensors of a file by name, in alphabetical order.
using TensorMap = std::map<std::string, TensorView, std::less<>>;

namespace detail {

/// An IEEE 754 half as a float; exact, NaN payloads kept, in integer arithmetic so that no mode of the processor
/// matters.
inline float half_to_float(std::uint16_t half) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  std::uint32_t magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) return float_from_bits(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  if (magnitude >= 0x0400u) return float_from_bits(sign | ((magnitude << 13) + (112u << 23)));
  if (magnitude == 0) return float_from_bits(sign);
  std::uint32_t exponent = 113;
  for (; (magnitude & 0x400u) == 0; magnitude <<= 1) --exponent;
  return float_from_bits(sign | (exponent << 23) | ((magnitude & 0x3ffu) << 13));
}

inline float bfloat16_to_float(std::uint16_t bits) noexcept {
  return float_from_bits(static_cast<std::uint32_t>(bits) << 16);
}

template <class Stored, class Convert>
void convert_elements(const std::uint8_t* from, std::int64_t count, float* out, Convert convert) {
  for (std::int64_t i = 0; i < count; ++i) {
    Stored element;
    std::memcpy(&element, from + static_cast<std::size_t>(i) * sizeof element, sizeof element);
    out[i] = convert(element);
  }
}

}  // namespace detail

/// Writes `count` elements of an F32, F16 or BF16 tensor, from the flat index `first` on, to `out` as floats (exactly).
/// Throws `Error` for another element type, or where the range leaves the tensor; then nothing is written.
inline void read_floats(const TensorView& tensor, std::int64_t first, std::int64_t count, float* out) {
  if (first < 0 || count < 0 || first > tensor.size() || count > tensor.size() - first) {
    detail::fail(tensor.file, detail::tensor_named(tensor.name) + " range",
                 std::to_string(first) + " + " + std::to_string(count),
                 "elements in 0.." + std::to_string(tensor.size()));
  }
  const std::uint8_t* from = tensor.data + static_cast<std::size_t>(first) * dtype_bits(tensor.dtype) / 8;
  switch (tensor.dtype) {
    case DType::kF32:
      if (count > 0) std::memcpy(out, from, static_cast<std::size_t>(count) * sizeof(float));
      return;
    case DType::kF16:
      return detail::convert_elements<std::uint16_t>(from, count, out, detail::half_to_float);
    case DType::kBF16:
      return detail::convert_elements<std::uint16_t>(from, count, out, detail::bfloat16_to_float);
    default:
      detail::fail(tensor.file, detail::tensor_named(tensor.name) + " dtype", dtype_name(tensor.dtype),
                   "F32, F16 or BF16");
  }
}

RESET_NAMESPACE_END
