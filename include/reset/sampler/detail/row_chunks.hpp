/// @file
/// The chunks that a row of logits is read in, and the sums over one chunk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <reset/sampler/detail/fast_exp.hpp>
#include <reset/sampler/logits.hpp>

// GCC prefers 256-bit vectors where AVX-512 is compiled in; the sums are a third faster with the full width.
#if defined(__AVX512F__) && defined(__GNUC__) && !defined(__clang__)
#define RESET_WIDE_VECTORS __attribute__((target("prefer-vector-width=512")))
#else
#define RESET_WIDE_VECTORS
#endif

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_INSTRUCTION_SET {

inline constexpr float kMinusInfinity = float_from_bits(0xff800000u);

/// Reads a row chunk by chunk as floats; the last chunk is filled up with -inf.
template <class T>
class RowChunks {
 public:
  RowChunks(const T* row, std::size_t columns) noexcept : row_(row), columns_(columns) {}

  std::size_t count() const noexcept { return chunk_count(columns_); }

  /// How many of chunk `c`'s values are the row's.
  std::size_t valid(std::size_t c) const noexcept {
    const std::size_t left = columns_ - c * kEntropyChunk;
    return left < kEntropyChunk ? left : kEntropyChunk;
  }

  /// The kEntropyChunk values of chunk `c`; valid until the next call.
  const float* load(std::size_t c) noexcept {
    const T* source = row_ + c * kEntropyChunk;
    const std::size_t valid_values = valid(c);
    if (valid_values == kEntropyChunk) {
      if constexpr (std::is_same_v<T, float>) {
        return source;
      } else {
        for (std::size_t i = 0; i < kEntropyChunk; ++i) buffer_[i] = to_float(source[i]);
        return buffer_;
      }
    }
    for (std::size_t i = 0; i < kEntropyChunk; ++i) buffer_[i] = kMinusInfinity;
    for (std::size_t i = 0; i < valid_values; ++i) buffer_[i] = to_float(source[i]);
    return buffer_;
  }

 private:
  const T* row_;
  std::size_t columns_;
  alignas(64) float buffer_[kEntropyChunk];
};

/// What a chunk spans, by bits: signed order ranks non-negative floats above negative ones, unsigned order the reverse,
/// and infinities and NaN of each sign come last in their order. Integer reductions vectorise in every mode of
/// floating point.
struct ChunkRange {
  std::int32_t signed_max;     ///< The largest value if that is not negative; above infinity's bits for a NaN.
  std::uint32_t unsigned_max;  ///< The most negative value if there is one; above -infinity's bits for a -NaN.
  float max;                   ///< The largest value; meaningful if there is no NaN.

  bool has_nan() const noexcept {
    return signed_max > static_cast<std::int32_t>(kFloatInfinity) || unsigned_max > bits_of(kMinusInfinity);
  }
  /// How far below zero the values reach.
  float depth() const noexcept {
    return unsigned_max >> 31 != 0 ? float_from_bits(unsigned_max & kFloatMagnitude) : 0.0f;
  }
};

inline ChunkRange chunk_range(const float* values) noexcept {
  std::int32_t signed_max = std::numeric_limits<std::int32_t>::min();
  std::uint32_t unsigned_max = 0;
  for (std::size_t i = 0; i < kEntropyChunk; ++i) {
    const std::uint32_t bits = bits_of(values[i]);
    const std::int32_t signed_bits = static_cast<std::int32_t>(bits);
    signed_max = signed_max > signed_bits ? signed_max : signed_bits;
    unsigned_max = unsigned_max > bits ? unsigned_max : bits;
  }
  std::uint32_t max = static_cast<std::uint32_t>(signed_max);
  if (signed_max < 0) {
    // All values are negative: the largest is the one of the smallest magnitude.
    max = unsigned_max;
    for (std::size_t i = 0; i < kEntropyChunk; ++i) {
      const std::uint32_t bits = bits_of(values[i]);
      max = max < bits ? max : bits;
    }
  }
  return {signed_max, unsigned_max, float_from_bits(max)};
}

// A chunk is taken as rows of lanes that are folded into one: fixed-length loops, which GCC 12 vectorises from -O2 on,
// and sums of a depth that keeps float accurate.
inline constexpr std::size_t kLanes = kEntropyChunk / 8;

// Halves an array of `Count` lanes down to `Last`, in the order that every width of vector shares.
template <std::size_t Count, std::size_t Last, class T>
inline void fold_lanes(T* lanes) noexcept {
  if constexpr (Count > Last) {
    for (std::size_t i = 0; i < Count / 2; ++i) lanes[i] += lanes[i + Count / 2];
    fold_lanes<Count / 2, Last>(lanes);
  }
}

/// Sums over a chunk of w = e^((x - reference) / T), and of (x - reference) / T w.
struct ChunkSums {
  double sum;
  double weighted_sum;
};

struct LaneSums {
  float sum;
  float weighted_sum;
};

struct Term {
  float exponent;
  float weight;
};

template <bool kLimited>
inline Term term(float value, float reference, float scale) noexcept {
  float z = (reference - value) * scale;
  if constexpr (kLimited) z = limit_exponent(z);
  return {z, exp_scaled(z)};
}

template <bool kLimited>
inline LaneSums sums_of_four(const float* values, float reference, float scale) noexcept {
  const Term a = term<kLimited>(values[0], reference, scale);
  const Term b = term<kLimited>(values[kLanes], reference, scale);
  const Term c = term<kLimited>(values[2 * kLanes], reference, scale);
  const Term d = term<kLimited>(values[3 * kLanes], reference, scale);
  return {(a.weight + b.weight) + (c.weight + d.weight),
          (a.exponent * a.weight + b.exponent * b.weight) + (c.exponent * c.weight + d.exponent * d.weight)};
}

// Not inlined, so that one compiled body gives every caller in a program the same bits, whatever the optimiser may
// contract or reassociate; another compiler, its flags or the instruction set may change the last of them.
template <bool kLimited>
RESET_WIDE_VECTORS [[gnu::noinline]] ChunkSums chunk_sums(const float* values, float reference, float scale) noexcept {
  alignas(64) float sum[kLanes];
  alignas(64) float weighted[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) {
    const LaneSums a = sums_of_four<kLimited>(values + i, reference, scale);
    const LaneSums b = sums_of_four<kLimited>(values + i + 4 * kLanes, reference, scale);
    sum[i] = a.sum + b.sum;
    weighted[i] = a.weighted_sum + b.weighted_sum;
  }
  fold_lanes<kLanes, 16>(sum);
  fold_lanes<kLanes, 16>(weighted);
  double wide_sum[16];
  double wide_weighted[16];
  for (std::size_t i = 0; i < 16; ++i) wide_sum[i] = static_cast<double>(sum[i]);
  for (std::size_t i = 0; i < 16; ++i) wide_weighted[i] = static_cast<double>(weighted[i]);
  fold_lanes<16, 1>(wide_sum);
  fold_lanes<16, 1>(wide_weighted);
  return {wide_sum[0], wide_weighted[0] * (-1.0 / static_cast<double>(kExponentScale))};
}

/// Sums over a chunk of values that lie within `extent` and do not exceed `reference`, at a temperature T > 0.
inline ChunkSums chunk_sums(const float* values, ChunkExtent extent, float reference, float temperature) noexcept {
  const float scale = kExponentScale / temperature;
  // Where even the widest difference stays among the normal floats, no term needs the limit.
  const bool limited = is_inf(extent.depth) || !((reference + extent.depth) * scale < kExponentLimit);
  return limited ? chunk_sums<true>(values, reference, scale) : chunk_sums<false>(values, reference, scale);
}

}  // namespace RESET_INSTRUCTION_SET
}  // namespace detail
RESET_NAMESPACE_END

#undef RESET_WIDE_VECTORS
