/// @file
/// The element types of safetensors files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <reset/config.hpp>

RESET_NAMESPACE_BEGIN

/// Element type of a tensor on disk, by the name that safetensors files use.
enum class DType : std::uint8_t {
  kF64,     ///< "F64", IEEE 754 double.
  kF32,     ///< "F32", IEEE 754 single.
  kF16,     ///< "F16", IEEE 754 half.
  kBF16,    ///< "BF16", the upper half of a single.
  kF8E4M3,  ///< "F8_E4M3", 4 exponent bits, 3 of mantissa, no infinities: the block scales of NVFP4.
  kF8E5M2,  ///< "F8_E5M2", 5 exponent bits, 2 of mantissa.
  kI64,     ///< "I64", signed.
  kI32,     ///< "I32", signed.
  kI16,     ///< "I16", signed.
  kI8,      ///< "I8", signed.
  kU64,     ///< "U64", unsigned.
  kU32,     ///< "U32", unsigned.
  kU16,     ///< "U16", unsigned.
  kU8,      ///< "U8", unsigned: the packed elements of NVFP4, two a byte.
  kBool,    ///< "BOOL", one byte, 0 or 1.
};

namespace detail {

struct DTypeInfo {
  DType dtype;
  std::string_view name;
  std::size_t size;
};

inline constexpr std::array<DTypeInfo, 15> kDTypes = {{{DType::kF64, "F64", 8},
                                                       {DType::kF32, "F32", 4},
                                                       {DType::kF16, "F16", 2},
                                                       {DType::kBF16, "BF16", 2},
                                                       {DType::kF8E4M3, "F8_E4M3", 1},
                                                       {DType::kF8E5M2, "F8_E5M2", 1},
                                                       {DType::kI64, "I64", 8},
                                                       {DType::kI32, "I32", 4},
                                                       {DType::kI16, "I16", 2},
                                                       {DType::kI8, "I8", 1},
                                                       {DType::kU64, "U64", 8},
                                                       {DType::kU32, "U32", 4},
                                                       {DType::kU16, "U16", 2},
                                                       {DType::kU8, "U8", 1},
                                                       {DType::kBool, "BOOL", 1}}};

}  // namespace detail

/// Bytes of one element.
constexpr std::size_t dtype_size(DType dtype) { return detail::kDTypes[static_cast<std::size_t>(dtype)].size; }

/// The name in the file, such as "BF16".
constexpr std::string_view dtype_name(DType dtype) { return detail::kDTypes[static_cast<std::size_t>(dtype)].name; }

/// The type with that name in the file, or nothing if the library does not know it.
constexpr std::optional<DType> find_dtype(std::string_view name) {
  for (const detail::DTypeInfo& info : detail::kDTypes) {
    if (info.name == name) return info.dtype;
  }
  return std::nullopt;
}

RESET_NAMESPACE_END
