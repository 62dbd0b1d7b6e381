// Floats at which a codec can go wrong: every representable value, every rounding boundary, and their neighbours.
#pragma once

#include <cstdint>
#include <vector>

namespace codec_cases {

inline float from_bits(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }
inline std::uint32_t to_bits(float x) { return __builtin_bit_cast(std::uint32_t, x); }

// Both signs of x and of its `reach` neighbours on each side.
inline void add_around(std::vector<float>& cases, float x, std::uint32_t reach) {
  const std::uint32_t bits = to_bits(x) & 0x7fffffffu;
  for (std::uint32_t b = bits > reach ? bits - reach : 0; b <= bits + reach; ++b) {
    cases.push_back(from_bits(b));
    cases.push_back(from_bits(b | 0x80000000u));
  }
}

// The values of a format, the midpoints between them, and what lies beyond: `value(code)` for codes 0..max_code.
template <class Value>
std::vector<float> boundaries(Value value, std::uint8_t max_code) {
  std::vector<float> cases;
  for (int code = 0; code <= max_code; ++code) {
    const float here = value(static_cast<std::uint8_t>(code));
    const float next = code < max_code ? value(static_cast<std::uint8_t>(code + 1)) : here * 1.125f;
    add_around(cases, here, 3);
    add_around(cases, (here + next) / 2, 3);
  }
  for (const std::uint32_t bits : {0x00000001u, 0x007fffffu, 0x00800000u, 0x7f7fffffu, 0x7f800000u, 0x7f800001u,
                                   0x7fbfffffu, 0x7fc00000u, 0x7ffffffcu}) {
    add_around(cases, from_bits(bits), 2);
  }
  return cases;
}

}  // namespace codec_cases
