/// @file
/// The chunks that a row of logits is read in, and the sums over one chunk.
#pragma once

#include <cstddef>
#include <cstdint>

#include <reset/sampler/detail/fast_exp.hpp>
#include <reset/sampler/logits.hpp>

RESET_NAMESPACE_BEGIN

/// Vocabulary ids in one chunk of the fixed merge tree.
inline constexpr std::size_t kEntropyChunk = 1024;

/// Number of chunks of a row of `columns` logits.
RESET_HOST_DEVICE constexpr std::size_t chunk_count(std::size_t columns) noexcept {
  return (columns + kEntropyChunk - 1) / kEntropyChunk;
}

namespace detail {

inline constexpr float kMinusInfinity = float_from_bits(0xff800000u);

/// Reads a row chunk by chunk as floats; the last chunk is filled up with -inf.
template <class T>
class RowChunks {
 public:
  RowChunks(const T* row, std::size_t columns) noexcept : row_(row), columns_(columns) {}

  std::size_t count() const noexcept { return chunk_count(columns_); }

  /// The kEntropyChunk values of chunk `c`; valid until the next call.
  const float* load(std::size_t c) noexcept {
    const std::size_t begin = c * kEntropyChunk;
    const T* source = row_ + begin;
    if (columns_ - begin >= kEntropyChunk) {
      if constexpr (std::is_same_v<T, float>) {
        return source;
      } else {
        for (std::size_t i = 0; i < kEntropyChunk; ++i) buffer_[i] = to_float(source[i]);
        return buffer_;
      }
    }
    const std::size_t valid = columns_ - begin;
    for (std::size_t i = 0; i < valid; ++i) buffer_[i] = to_float(source[i]);
    for (std::size_t i = valid; i < kEntropyChunk; ++i) buffer_[i] = kMinusInfinity;
    return buffer_;
  }

 private:
  const T* row_;
  std::size_t columns_;
  alignas(64) float buffer_[kEntropyChunk];
};

/// The largest value and the largest bits of a magnitude in a chunk: above those of infinity if there is a NaN.
struct ChunkRange {
  float max;
  std::uint32_t magnitude;
};

// A chunk is taken as eight rows of lanes that are folded into one: fixed-length loops, which GCC 12 vectorises from
// -O2 on, and sums of a depth that keeps float accurate.
inline constexpr std::size_t kLanes = kEntropyChunk / 8;

// Halves an array of `Count` lanes down to `Last`, in the order that every width of vector shares.
template <std::size_t Count, std::size_t Last, class T, class Fold>
inline void fold_lanes(T* lanes, Fold fold) noexcept {
  if constexpr (Count > Last) {
    for (std::size_t i = 0; i < Count / 2; ++i) lanes[i] = fold(lanes[i], lanes[i + Count / 2]);
    fold_lanes<Count / 2, Last>(lanes, fold);
  }
}

struct Larger {
  template <class T>
  T operator()(T a, T b) const noexcept {
    return a > b ? a : b;
  }
};

struct Plus {
  template <class T>
  T operator()(T a, T b) const noexcept {
    return a + b;
  }
};

// Of one lane in four rows, written out: a loop over rows would have to be unrolled before vectorising over lanes.
inline ChunkRange range_of_four(const float* values) noexcept {
  constexpr Larger larger;
  const float a = values[0], b = values[kLanes], c = values[2 * kLanes], d = values[3 * kLanes];
  const auto magnitude_of = [](float x) { return static_cast<std::int32_t>(bits_of(x) & kFloatMagnitude); };
  const std::int32_t magnitude =
      larger(larger(magnitude_of(a), magnitude_of(b)), larger(magnitude_of(c), magnitude_of(d)));
  return {larger(larger(a, b), larger(c, d)), static_cast<std::uint32_t>(magnitude)};
}

inline ChunkRange chunk_range(const float* values) noexcept {
  constexpr Larger larger;
  alignas(64) float max[kLanes];
  alignas(64) std::int32_t magnitude[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) {
    const ChunkRange upper = range_of_four(values + i);
    const ChunkRange lower = range_of_four(values + i + 4 * kLanes);
    max[i] = larger(upper.max, lower.max);
    magnitude[i] = larger(static_cast<std::int32_t>(upper.magnitude), static_cast<std::int32_t>(lower.magnitude));
  }
  fold_lanes<kLanes, 1>(max, larger);
  fold_lanes<kLanes, 1>(magnitude, larger);
  return {max[0], static_cast<std::uint32_t>(magnitude[0])};
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

// Not inlined, so that one compiled body gives every caller the same bits whatever the optimiser may reassociate.
template <bool kLimited>
[[gnu::noinline]] ChunkSums chunk_sums(const float* values, float reference, float scale) noexcept {
  alignas(64) float sum[kLanes];
  alignas(64) float weighted[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) {
    const LaneSums a = sums_of_four<kLimited>(values + i, reference, scale);
    const LaneSums b = sums_of_four<kLimited>(values + i + 4 * kLanes, reference, scale);
    sum[i] = a.sum + b.sum;
    weighted[i] = a.weighted_sum + b.weighted_sum;
  }
  fold_lanes<kLanes, 16>(sum, Plus{});
  fold_lanes<kLanes, 16>(weighted, Plus{});
  double wide_sum[16];
  double wide_weighted[16];
  for (std::size_t i = 0; i < 16; ++i) wide_sum[i] = static_cast<double>(sum[i]);
  for (std::size_t i = 0; i < 16; ++i) wide_weighted[i] = static_cast<double>(weighted[i]);
  fold_lanes<16, 1>(wide_sum, Plus{});
  fold_lanes<16, 1>(wide_weighted, Plus{});
  return {wide_sum[0], wide_weighted[0] * (-1.0 / static_cast<double>(kExponentScale))};
}

/// Sums over a chunk of values that do not exceed `reference`, at a temperature T > 0.
inline ChunkSums chunk_sums(const float* values, ChunkRange range, float reference, float temperature) noexcept {
  const float scale = kExponentScale / temperature;
  // Where even the widest difference stays among the normal floats, no term needs the limit.
  const float widest = (reference + float_from_bits(range.magnitude)) * scale;
  const bool limited = !(widest < kExponentLimit) || range.magnitude >= kFloatInfinity;
  return limited ? chunk_sums<true>(values, reference, scale) : chunk_sums<false>(values, reference, scale);
}

}  // namespace detail
RESET_NAMESPACE_END
