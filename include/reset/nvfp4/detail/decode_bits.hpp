/// @file
/// Decoding of E2M1 by bit arithmetic that is the same on host and device: doubled values as int8, and scaled halves.
#pragma once

#include <cstdint>

#include <reset/config.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// PRMT: byte i of the result is the byte of {a, b} that nibble i of `selector` names, or, if bit 3 of the nibble is
/// set, that byte's sign bit eight times.
RESET_HOST_DEVICE inline std::uint32_t permute_bytes(std::uint32_t a, std::uint32_t b,
                                                     std::uint32_t selector) noexcept {
#if defined(__CUDA_ARCH__)
  // Not __byte_perm: it ignores bit 3.
  std::uint32_t result;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(selector));
  return result;
#else
  const std::uint64_t bytes = (static_cast<std::uint64_t>(b) << 32) | a;
  std::uint32_t result = 0;
  for (std::uint32_t i = 0; i < 4; ++i) {
    const std::uint32_t nibble = selector >> (4 * i) & 15u;
    const auto byte = static_cast<std::uint32_t>(bytes >> (8 * (nibble & 7u)) & 255u);
    result |= (nibble < 8 ? byte : byte >> 7 == 0 ? 0u : 255u) << (8 * i);
  }
  return result;
#endif
}

/// Four products of int8, summed and added to `sum`.
RESET_HOST_DEVICE inline std::int32_t dot_int8x4(std::uint32_t a, std::uint32_t b, std::int32_t sum) noexcept {
#if defined(__CUDA_ARCH__)
  return __dp4a(static_cast<int>(a), static_cast<int>(b), sum);
#else
  for (int i = 0; i < 32; i += 8) {
    sum += static_cast<std::int32_t>(static_cast<std::int8_t>(a >> i)) * static_cast<std::int8_t>(b >> i);
  }
  return sum;
#endif
}

/// Of the four elements in the low half of `codes`: twice the value of the positive ones, 0 for the others. The
/// doubled magnitudes 0, 1, 2, 3, 4, 6, 8, 12 are the bytes of two words, the sign bit of a code is bit 3 of PRMT's
/// selector, and no byte of the table has its own sign bit set.
RESET_HOST_DEVICE inline std::uint32_t doubled_positive(std::uint32_t codes) noexcept {
  return permute_bytes(0x03020100u, 0x0c080604u, codes);
}

/// Of the four elements in the low half of `codes`: twice the magnitude of the negative ones, 0 for the others.
RESET_HOST_DEVICE inline std::uint32_t doubled_negative(std::uint32_t codes) noexcept {
  return doubled_positive(codes ^ 0x88888888u);
}

/// Twice the value of the four elements in the low half of `codes`, as int8.
RESET_HOST_DEVICE inline std::uint32_t doubled_int8x4(std::uint32_t codes) noexcept {
  // A subtraction byte by byte: with the top bits set in the minuend no byte borrows from the next.
  return ((doubled_positive(codes) | 0x80808080u) - doubled_negative(codes)) ^ 0x80808080u;
}

/// Two halves in a word, by their bits.
struct HalfPairs {
  std::uint32_t pair[4];
};

/// The factors by which `half_pairs_by_bits` shifts.
struct ShiftFactors {
  std::uint32_t by_9 = 512;
  std::uint32_t by_1 = 2;
  std::uint32_t by_5 = 32;
};

/// Eight elements as halves times 2^-14, elements {0, 4}, {2, 6}, {1, 5}, {3, 7}: sign to bit 15 and magnitude to bits
/// 11..9 of a half reads as that, the subnormal 0.5 included. A code moves to bits 12..9, and 7 added at bit 12 carries
/// its sign to bit 15.
RESET_HOST_DEVICE inline HalfPairs half_pairs_by_bits(std::uint32_t codes, const ShiftFactors& shift = {}) noexcept {
  constexpr std::uint32_t kCarry = 0x70007000u;
  constexpr std::uint32_t kFields = 0x8e008e00u;
  const std::uint32_t even = codes & 0x0f0f0f0fu;
  const std::uint32_t odd = codes - even;
  return {{(even * shift.by_9 + kCarry) & kFields, (even * shift.by_1 + kCarry) & kFields,
           (odd * shift.by_5 + kCarry) & kFields, ((odd >> 3) + kCarry) & kFields}};
}

}  // namespace detail
RESET_NAMESPACE_END
