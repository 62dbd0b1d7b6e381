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
  kF64,         ///< "F64", IEEE 754 double.
  kF32,         ///< "F32", IEEE 754 single.
  kF16,         ///< "F16", IEEE 754 half.
  kBF16,        ///< "BF16", the upper half of a single.
  kF8E4M3,      ///< "F8_E4M3", 4 exponent bits, 3 of mantissa, no infinities: the block scales of NVFP4.
  kF8E5M2,      ///< "F8_E5M2", 5 exponent bits, 2 of mantissa.
  kI64,         ///< "I64", signed.
  kI32,         ///< "I32", signed.
  kI16,         ///< "I16", signed.
  kI8,          ///< "I8", signed.
  kU64,         ///< "U64", unsigned.
  kU32,         ///< "U32", unsigned.
  kU16,         ///< "U16", unsigned.
  kU8,          ///< "U8", unsigned: the packed elements of NVFP4, two a byte.
  kBool,        ///< "BOOL", one byte, 0 or 1.
  kF8E8M0,      ///< "F8_E8M0", 8 exponent bits only: the block scales of the MX formats.
  kF8E4M3Fnuz,  ///< "F8_E4M3FNUZ", as F8_E4M3 with another bias, one NaN and no -0.
  kF8E5M2Fnuz,  ///< "F8_E5M2FNUZ", as F8_E5M2 with another bias, one NaN, no infinities and no -0.
  kF6E2M3,      ///< "F6_E2M3", 6 bits, packed.
  kF6E3M2,      ///< "F6_E3M2", 6 bits, packed.
  kF4,          ///< "F4", 4 bits, 2 of them the exponent, packed two a byte.
  kC64,         ///< "C64", a complex number of two singles.
};

namespace detail {

struct DTypeInfo {
  DType dtype;
  std::string_view name;
  std::size_t bits;
};

inline constexpr std::array<DTypeInfo, 22> kDTypes = {{{DType::kF64, "F64", 64},
                                                       {DType::kF32, "F32", 32},
                                                       {DType::kF16, "F16", 16},
                                                       {DType::kBF16, "BF16", 16},
                                                       {DType::kF8E4M3, "F8_E4M3", 8},
                                                       {DType::kF8E5M2, "F8_E5M2", 8},
                                                       {DType::kI64, "I64", 64},
                                                       {DType::kI32, "I32", 32},
                                                       {DType::kI16, "I16", 16},
                                                       {DType::kI8, "I8", 8},
                                                       {DType::kU64, "U64", 64},
                                                       {DType::kU32, "U32", 32},
                                                       {DType::kU16, "U16", 16},
                                                       {DType::kU8, "U8", 8},
                                                       {DType::kBool, "BOOL", 8},
                                                       {DType::kF8E8M0, "F8_E8M0", 8},
                                                       {DType::kF8E4M3Fnuz, "F8_E4M3FNUZ", 8},
                                                       {DType::kF8E5M2Fnuz, "F8_E5M2FNUZ", 8},
                                                       {DType::kF6E2M3, "F6_E2M3", 6},
                                                       {DType::kF6E3M2, "F6_E3M2", 6},
                                                       {DType::kF4, "F4", 4},
                                                       {DType::kC64, "C64", 64}}};

}  // namespace detail

/// Bits of one element; elements of less than a byte lie packed.
constexpr std::size_t dtype_bits(DType dtype) { return detail::kDTypes[static_cast<std::size_t>(dtype)].bits; }

/// Bytes of one element by itself: rounded up for the types of 4 and 6 bits, so it says nothing of a tensor of them.
constexpr std::size_t dtype_size(DType dtype) { return (dtype_bits(dtype) + 7) / 8; }

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
