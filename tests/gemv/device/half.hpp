// 16-bit floats on the host, by their bits.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include <reset/gemv/problem.hpp>

inline std::uint32_t float_bits(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}

inline double bf16_to_double(std::uint16_t code) {
  const std::uint32_t bits = static_cast<std::uint32_t>(code) << 16;
  float x;
  std::memcpy(&x, &bits, 4);
  return static_cast<double>(x);
}

inline double fp16_to_double(std::uint16_t code) {
  const int exponent = code >> 10 & 31;
  const int mantissa = code & 1023;
  double magnitude = std::ldexp(mantissa, -24);
  if (exponent == 31) magnitude = mantissa == 0 ? INFINITY : NAN;
  if (exponent > 0 && exponent < 31) magnitude = std::ldexp(1024 + mantissa, exponent - 25);
  return (code >> 15) != 0 ? -magnitude : magnitude;
}

// Element `index` of an array of the given type.
inline double element(const std::uint8_t* data, reset::OutputType type, std::int64_t index) {
  if (type == reset::OutputType::kFp32) {
    float x;
    std::memcpy(&x, data + index * 4, 4);
    return static_cast<double>(x);
  }
  std::uint16_t code;
  std::memcpy(&code, data + index * 2, 2);
  return type == reset::OutputType::kFp16 ? fp16_to_double(code) : bf16_to_double(code);
}

// Truncates: any representable value near `x` will do for an input.
inline std::uint16_t double_to_bf16(double x) {
  return static_cast<std::uint16_t>(float_bits(static_cast<float>(x)) >> 16);
}

inline std::uint16_t double_to_fp16(double x) {
  const int sign = std::signbit(x) ? 0x8000 : 0;
  const double magnitude = std::fabs(x);
  if (magnitude < 0x1p-14) return static_cast<std::uint16_t>(sign | static_cast<int>(magnitude * 0x1p24));
  int exponent = 0;
  const double fraction = std::frexp(magnitude < 65504 ? magnitude : 65504, &exponent);
  return static_cast<std::uint16_t>(sign | (exponent + 14) << 10 | (static_cast<int>(fraction * 2048) & 1023));
}

inline void put_element(std::uint8_t* data, reset::OutputType type, std::int64_t index, double x) {
  if (type == reset::OutputType::kFp32) {
    const auto value = static_cast<float>(x);
    std::memcpy(data + index * 4, &value, 4);
    return;
  }
  const std::uint16_t code = type == reset::OutputType::kFp16 ? double_to_fp16(x) : double_to_bf16(x);
  std::memcpy(data + index * 2, &code, 2);
}
