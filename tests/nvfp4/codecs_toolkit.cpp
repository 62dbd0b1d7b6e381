// The codecs against the host conversions of the CUDA Toolkit's own cuda_fp4.h and cuda_fp8.h.
#include <cuda_fp4.h>
#include <cuda_fp8.h>

#include <cstdint>

#include <reset/nvfp4/e2m1.hpp>
#include <reset/nvfp4/e4m3.hpp>

#include "nvfp4/codec_cases.hpp"
#include "support/catch.hpp"

using codec_cases::from_bits;
using codec_cases::to_bits;

namespace {

std::uint8_t toolkit_e2m1(float x) { return __nv_cvt_float_to_fp4(x, __NV_E2M1, cudaRoundNearest); }
std::uint8_t toolkit_e4m3(float x) { return __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3); }

// A half is exact for every value of both formats; decoded here by its bits.
float half_to_float(__half_raw half) {
  const std::uint32_t magnitude = half.x & 0x7fffu;
  const std::uint32_t sign = (half.x & 0x8000u) << 16;
  if (magnitude >= 0x7c00) return from_bits(0x7fc00000u);
  if (magnitude < 0x400) return from_bits(to_bits(static_cast<float>(magnitude) * 0x1p-24f) | sign);
  return from_bits(((magnitude << 13) + (112u << 23)) | sign);
}

int count_differences(float x) {
  return (toolkit_e2m1(x) != reset::float_to_e2m1(x)) + (toolkit_e4m3(x) != reset::float_to_e4m3(x));
}

}  // namespace

TEST_CASE("decoding agrees with the toolkit on every code") {
  for (int code = 0; code < 256; ++code) {
    const auto byte = static_cast<std::uint8_t>(code);
    const auto nibble = static_cast<std::uint8_t>(code & 15);
    const float e2m1 = half_to_float(__nv_cvt_fp4_to_halfraw(nibble, __NV_E2M1));
    CHECK(to_bits(e2m1) == to_bits(reset::e2m1_to_float(byte)));
    const float e4m3 = half_to_float(__nv_cvt_fp8_to_halfraw(byte, __NV_E4M3));
    if ((code & 0x7f) == 0x7f) {
      CHECK((to_bits(e4m3) & 0x7fffffffu) > 0x7f800000u);
    } else {
      CHECK(to_bits(e4m3) == to_bits(reset::e4m3_to_float(byte)));
    }
  }
}

TEST_CASE("encoding agrees with the toolkit on every boundary and its neighbours") {
  int differences = 0;
  for (const float x : codec_cases::boundaries(reset::e2m1_to_float, 7)) differences += count_differences(x);
  for (const float x : codec_cases::boundaries(reset::e4m3_to_float, 0x7e)) differences += count_differences(x);
  CHECK(differences == 0);
}

TEST_CASE("encoding agrees with the toolkit on a stride through all floats") {
  std::uint64_t differences = 0;
  for (std::uint64_t bits = 0; bits <= 0xffffffffu; bits += 127) {
    differences += static_cast<std::uint64_t>(count_differences(from_bits(static_cast<std::uint32_t>(bits))));
  }
  CHECK(differences == 0);
}
