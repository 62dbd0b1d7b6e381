/// @file
/// Sixteen float lanes, one for each element of a block, on whatever vectors the compiler may use. A type for each
/// instruction set, so that objects compiled for different ones do not share a name. Decoded weights and partial sums
/// are hidden from fast-math, which else would associate them differently from one number of tokens to the next.
#pragma once

#include <cstdint>
#include <cstring>

#if !defined(__CUDACC__) && (defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__)))
#include <immintrin.h>
#endif

#include <reset/config.hpp>
#include <reset/detail/rounding.hpp>
#include <reset/nvfp4/e2m1.hpp>
#include <reset/nvfp4/e4m3.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Values of all E4M3 codes.
struct E4M3Table {
  float value[256] = {};  ///< By code.

  constexpr E4M3Table() noexcept {
    for (int code = 0; code < 256; ++code) value[code] = e4m3_to_float(static_cast<std::uint8_t>(code));
  }
};
inline constexpr E4M3Table kE4M3Table;

/// Values of the two elements of every byte, as the bits of two adjacent floats.
struct E2M1PairTable {
  std::uint64_t bits[256] = {};  ///< By byte; the low nibble in the low half.

  constexpr E2M1PairTable() noexcept {
    for (int byte = 0; byte < 256; ++byte) {
      const std::uint64_t even = bits_of(e2m1_to_float(static_cast<std::uint8_t>(byte & 15)));
      const std::uint64_t odd = bits_of(e2m1_to_float(static_cast<std::uint8_t>(byte >> 4)));
      bits[byte] = even | odd << 32;
    }
  }
};
inline constexpr E2M1PairTable kE2M1PairTable;

/// Four vectors of 4, which every 64-bit processor has; a byte is decoded by one look-up. Written out, not as loops
/// over an array, which compilers keep in memory at -O2.
struct PortableLanes {
  static constexpr int kTokens = 4;  ///< Tokens whose accumulators fit the registers.
  using Vector __attribute__((vector_size(16))) = float;
  using Pairs __attribute__((vector_size(16))) = std::uint64_t;

  Vector a;  ///< Elements 0..3.
  Vector b;  ///< Elements 4..7.
  Vector c;  ///< Elements 8..11.
  Vector d;  ///< Elements 12..15.

  static PortableLanes zero() noexcept { return {Vector{}, Vector{}, Vector{}, Vector{}}; }
  static PortableLanes load(const float* x) noexcept {
    return {load_quarter(x), load_quarter(x + 4), load_quarter(x + 8), load_quarter(x + 12)};
  }
  void store(float* x) const noexcept {
    std::memcpy(x, &a, sizeof a);
    std::memcpy(x + 4, &b, sizeof b);
    std::memcpy(x + 8, &c, sizeof c);
    std::memcpy(x + 12, &d, sizeof d);
  }
  /// The elements of 8 packed bytes times the scale: exact.
  static PortableLanes decode(const std::uint8_t* packed, float scale) noexcept {
    return {hide(decode_quarter(packed) * scale), hide(decode_quarter(packed + 2) * scale),
            hide(decode_quarter(packed + 4) * scale), hide(decode_quarter(packed + 6) * scale)};
  }
  /// *this += w * x, lane by lane.
  void add_product(const PortableLanes& w, const PortableLanes& x) noexcept {
    a += w.a * x.a;
    b += w.b * x.b;
    c += w.c * x.c;
    d += w.d * x.d;
  }
  float sum() const noexcept {
    const Vector total = hide(hide(a + c) + hide(b + d));
    return hide(hide(total[0] + total[2]) + hide(total[1] + total[3]));
  }

 private:
  static Vector load_quarter(const float* x) noexcept {
    Vector quarter;
    std::memcpy(&quarter, x, sizeof quarter);
    return quarter;
  }
  static Vector decode_quarter(const std::uint8_t* packed) noexcept {
    const Pairs pairs = {kE2M1PairTable.bits[packed[0]], kE2M1PairTable.bits[packed[1]]};
    return __builtin_bit_cast(Vector, pairs);
  }
};

#if !defined(__CUDACC__) && defined(__AVX2__) && defined(__FMA__)
/// Two vectors of 8; a nibble's magnitude is looked up in a register, its sign is shifted into place.
struct Avx2Lanes {
  static constexpr int kTokens = 4;  ///< Tokens whose accumulators fit the registers.

  __m256 low;   ///< Elements 0..7.
  __m256 high;  ///< Elements 8..15.

  static Avx2Lanes zero() noexcept { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static Avx2Lanes load(const float* x) noexcept { return {_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8)}; }
  void store(float* x) const noexcept {
    _mm256_storeu_ps(x, low);
    _mm256_storeu_ps(x + 8, high);
  }
  /// The elements of 8 packed bytes times the scale: exact.
  static Avx2Lanes decode(const std::uint8_t* packed, float scale) noexcept {
    const __m256 factor = _mm256_set1_ps(scale);
    return {hide(_mm256_mul_ps(decode_half(packed), factor)), hide(_mm256_mul_ps(decode_half(packed + 4), factor))};
  }
  /// *this += w * x, lane by lane.
  void add_product(const Avx2Lanes& w, const Avx2Lanes& x) noexcept {
    low = _mm256_fmadd_ps(w.low, x.low, low);
    high = _mm256_fmadd_ps(w.high, x.high, high);
  }
  float sum() const noexcept {
    float lanes[16];
    store(lanes);
    return PortableLanes::load(lanes).sum();
  }

 private:
  static __m256 decode_half(const std::uint8_t* packed) noexcept {
    std::int32_t word;
    std::memcpy(&word, packed, sizeof word);
    const __m256i shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    const __m256i nibbles = _mm256_srlv_epi32(_mm256_set1_epi32(word), shifts);
    const __m256 magnitudes = _mm256_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f);
    const __m256i sign = _mm256_and_si256(_mm256_slli_epi32(nibbles, 28), _mm256_set1_epi32(INT32_MIN));
    return _mm256_or_ps(_mm256_permutevar8x32_ps(magnitudes, nibbles), _mm256_castsi256_ps(sign));
  }
};
#endif

#if !defined(__CUDACC__) && defined(__AVX512F__)
/// One vector of 16; a nibble is looked up in a register.
struct Avx512Lanes {
  static constexpr int kTokens = 8;  ///< Tokens whose accumulators fit the registers.

  __m512 value;  ///< Element k of the block in lane k.

  static Avx512Lanes zero() noexcept { return {_mm512_setzero_ps()}; }
  static Avx512Lanes load(const float* x) noexcept { return {_mm512_loadu_ps(x)}; }
  void store(float* x) const noexcept { _mm512_storeu_ps(x, value); }
  /// The elements of 8 packed bytes times the scale: exact.
  static Avx512Lanes decode(const std::uint8_t* packed, float scale) noexcept {
    // GCC 12 warns of an uninitialised operand inside the forms without a mask; the code is the same.
    constexpr __mmask16 kAll = 0xffff;
    const __m512 values = _mm512_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f, -0.0f, -0.5f, -1.0f, -1.5f,
                                         -2.0f, -3.0f, -4.0f, -6.0f);
    const __m512i shifts = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
    const __m512i word_of_lane = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    std::int64_t bytes;
    std::memcpy(&bytes, packed, sizeof bytes);
    const __m512i words = _mm512_castsi128_si512(_mm_cvtsi64_si128(bytes));
    const __m512i nibbles =
        _mm512_maskz_srlv_epi32(kAll, _mm512_maskz_permutexvar_epi32(kAll, word_of_lane, words), shifts);
    return {hide(_mm512_mul_ps(_mm512_maskz_permutexvar_ps(kAll, nibbles, values), _mm512_set1_ps(scale)))};
  }
  /// *this += w * x, lane by lane.
  void add_product(const Avx512Lanes& w, const Avx512Lanes& x) noexcept {
    value = _mm512_fmadd_ps(w.value, x.value, value);
  }
  float sum() const noexcept {
    float lanes[16];
    store(lanes);
    return PortableLanes::load(lanes).sum();
  }
};
using HostLanes = Avx512Lanes;
#elif !defined(__CUDACC__) && defined(__AVX2__) && defined(__FMA__)
using HostLanes = Avx2Lanes;
#else
using HostLanes = PortableLanes;
#endif

}  // namespace detail
RESET_NAMESPACE_END
