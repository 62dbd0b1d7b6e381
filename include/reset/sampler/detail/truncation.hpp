/// @file
/// Exact top-k, top-p and min-p without sorting a row: gather above a threshold that is known to suffice, then select.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include <reset/sampler/detail/candidate.hpp>
#include <reset/sampler/detail/gumbel_row.hpp>
#include <reset/sampler/sampler_types.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_INSTRUCTION_SET {

/// The candidate keys of a row that are at least `threshold` (finite ones only), into `keys`; returns their number.
template <class T>
std::size_t gather(RowChunks<T>& chunks, const RowSummary& row, float threshold, std::uint64_t* keys) noexcept {
  constexpr std::size_t kBlock = 32;
  std::size_t count = 0;
  for (std::size_t c = 0; c < chunks.count(); ++c) {
    if (is_inf(row.extents[c].max) || row.extents[c].max < threshold) continue;
    const float* values = chunks.load(c);
    for (std::size_t begin = 0; begin < kEntropyChunk; begin += kBlock) {
      std::int32_t any = 0;
      for (std::size_t i = 0; i < kBlock; ++i) any |= values[begin + i] >= threshold ? 1 : 0;
      if (any == 0) continue;
      for (std::size_t i = begin; i < begin + kBlock; ++i) {
        if (!(values[i] >= threshold) || is_inf(values[i])) continue;
        keys[count++] = candidate_key(values[i], static_cast<std::int32_t>(c * kEntropyChunk + i));
      }
    }
  }
  return count;
}

/// The weight e^((x - max) / T) of a candidate.
inline double candidate_weight(std::uint64_t key, const RowSummary& row) noexcept {
  const float z = (row.max - candidate_logit(key)) * (kExponentScale / row.temperature);
  return static_cast<double>(exp_scaled(limit_exponent(z)));
}

inline double total_weight(const std::uint64_t* keys, std::size_t count, const RowSummary& row) noexcept {
  double sum = 0.0;
  for (std::size_t i = 0; i < count; ++i) sum += candidate_weight(keys[i], row);
  return sum;
}

/// The order of preference of candidate keys; a type of its own, for the sake of the algorithms that take it.
struct Better {
  bool operator()(std::uint64_t a, std::uint64_t b) const noexcept { return a > b; }
};

/// Moves the `wanted` best of `count` keys to the front.
inline void select_best(std::uint64_t* keys, std::size_t count, std::size_t wanted) {
  if (wanted > 0 && wanted < count) std::nth_element(keys, keys + wanted - 1, keys + count, Better{});
}

/// Moves the shortest run of best keys whose weights reach `need` to the front and returns its length, at least 1: the
/// key that crosses `need` is in it. Halves the range that holds the crossing, so the cost is linear.
inline std::size_t select_mass(std::uint64_t* keys, std::size_t count, double need, const RowSummary& row) {
  std::size_t low = 0;  // so many best keys do not reach `need`
  std::size_t high = count;
  double mass = 0.0;
  while (high - low > 1) {
    const std::size_t middle = low + (high - low) / 2;
    std::nth_element(keys + low, keys + middle - 1, keys + high, Better{});
    const double upper = total_weight(keys + low, middle - low, row);
    if (mass + upper >= need) {
      high = middle;
    } else {
      mass += upper;
      low = middle;
    }
  }
  return high;
}

/// Sum of the weights of a whole row at its temperature; chunks that add less than 2^-60 of it count as nothing.
template <class T>
double row_weight(RowChunks<T>& chunks, const RowSummary& row) noexcept {
  const float scale = kExponentScale / row.temperature;
  double sum = 0.0;
  for (std::size_t c = 0; c < chunks.count(); ++c) {
    const ChunkExtent& extent = row.extents[c];
    const bool counts = (row.max - extent.max) * scale < 0x1p23f * 80.0f && !is_inf(extent.max);
    if (counts) sum += chunk_sums(chunks.load(c), extent, row.max, row.temperature).sum;
  }
  return sum;
}

/// Above which logit at least `wanted` finite logits of the row lie: the `wanted`-th largest maximum of a chunk where
/// there are so many chunks, and further and further below the maximum otherwise.
template <class T>
std::size_t gather_count(RowChunks<T>& chunks, const RowSummary& row, std::size_t wanted, std::uint64_t* keys) {
  const std::size_t count = chunks.count();
  if (wanted <= count) {
    // The keys' memory holds the maxima for a moment.
    for (std::size_t c = 0; c < count; ++c) keys[c] = candidate_key(row.extents[c].max, 0);
    std::nth_element(keys, keys + wanted - 1, keys + count, Better{});
    const float threshold = candidate_logit(keys[wanted - 1]);
    if (is_finite(threshold)) return gather(chunks, row, threshold, keys);
  }
  for (float distance = 8.0f; distance < 200.0f; distance *= 2.0f) {
    const std::size_t found = gather(chunks, row, row.max - distance, keys);
    if (found >= wanted) return found;
  }
  return gather(chunks, row, kMinusInfinity, keys);
}

/// How far below the maximum top-p may reach: the rest of a vocabulary of V tokens beyond weighs at most
/// V e^(-distance/T), which is less than (1 - p) of `weight`.
inline float top_p_distance(double weight, std::size_t columns, float top_p, float temperature) noexcept {
  const double beyond = static_cast<double>(columns) / ((1.0 - static_cast<double>(top_p)) * weight);
  const double nats = beyond > 1.0 ? exact_log(beyond) : 0.0;
  return static_cast<float>((nats + 1e-3) * static_cast<double>(temperature));
}

/// A threshold at least `distance` below the maximum, lowered by what float rounds: an exact comparison follows.
inline float below_max(const RowSummary& row, float distance) noexcept {
  const float magnitude = float_from_bits(bits_of(row.max) & kFloatMagnitude);
  return row.max - (distance + (distance + magnitude) * 1e-6f);
}

/// Moves the tokens that top-k, top-p and min-p leave, in this order, to the front of `keys` (room for `columns`) and
/// returns their number, at least 1. At least one of the three must be on; `weight_at_1` is the row's sum at T = 1.
///
/// Top-k and min-p are exact. Top-p keeps the shortest run of best tokens whose mass reaches p within 1e-6: weights are
/// floats, so where the mass at the cut comes closer than that, a few tokens of next to no weight more or less are
/// kept.
template <class T>
std::size_t truncate_row(RowChunks<T>& chunks, const RowSummary& row, std::size_t columns,
                         const SamplingParams& sampling, double weight_at_1, std::uint64_t* keys) {
  const std::size_t top_k = static_cast<std::size_t>(sampling.top_k);
  const bool by_count = cuts_by_count(sampling, static_cast<std::int32_t>(columns));
  const bool by_mass = sampling.top_p < 1.0f;
  std::size_t count = 0;
  double weight = 0.0;
  if (by_count) {
    count = gather_count(chunks, row, top_k, keys);
    select_best(keys, count, top_k);
    count = std::min(count, top_k);
    if (by_mass) weight = total_weight(keys, count, row);
  } else if (by_mass) {
    weight = row.temperature == 1.0f ? weight_at_1 : row_weight(chunks, row);
    const float distance = top_p_distance(weight, columns, sampling.top_p, row.temperature);
    count = gather(chunks, row, below_max(row, distance), keys);
  } else {
    const float distance = static_cast<float>(-min_p_distance(sampling.min_p, row.temperature));
    count = gather(chunks, row, below_max(row, distance), keys);
  }
  if (by_mass) count = select_mass(keys, count, static_cast<double>(sampling.top_p) * weight, row);
  if (sampling.min_p > 0.0f) {
    const double distance = min_p_distance(sampling.min_p, row.temperature);
    const auto kept = std::partition(keys, keys + count, [&](std::uint64_t key) {
      return add_rn(widen(candidate_logit(key)), -widen(row.max)) >= distance;
    });
    count = static_cast<std::size_t>(kept - keys);
  }
  return count;
}

}  // namespace RESET_INSTRUCTION_SET
}  // namespace detail
RESET_NAMESPACE_END
