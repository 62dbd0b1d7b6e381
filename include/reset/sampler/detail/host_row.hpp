/// @file
/// One row on the CPU: statistics, then the token at a temperature.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <reset/sampler/detail/rejection.hpp>
#include <reset/sampler/detail/truncation.hpp>
#include <reset/sampler/sampler_types.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_INSTRUCTION_SET {

/// Scratch memory for rows of one width, allocated once, and what is done in it.
class HostRow {
 public:
  explicit HostRow(std::size_t columns)
      : columns_(columns),
        partials_(chunk_count(columns)),
        extents_(chunk_count(columns)),
        bounds_(chunk_count(columns)),
        keys_(columns) {}

  /// Statistics of a row, into `result`: its status and its entropy, or, where it is not null, that of `entropy_row`;
  /// the row is bad if either is.
  template <class T>
  void read(const T* row, SampledToken& result, const T* entropy_row = nullptr) noexcept {
    statistics_ = row_statistics(row, columns_, partials_.data(), extents_.data());
    EntropyPartial partial = statistics_.partial;
    if (entropy_row != nullptr && statistics_.status == RowStatus::kOk) {
      const RowStatistics other = row_statistics(entropy_row, columns_, partials_.data());
      statistics_.status = other.status;
      partial = other.partial;
    }
    result.status = statistics_.status;
    if (result.status == RowStatus::kOk) result.entropy = static_cast<float>(entropy(partial));
  }

  /// A token of the row that was read last, at `temperature`.
  template <class T>
  std::int32_t draw(const T* row, const SamplingParams& sampling, float temperature, const RandomKey& key) noexcept {
    RowChunks<T> chunks(row, columns_);
    if (statistics_.status != RowStatus::kOk) return highest_finite(chunks, sampling.fallback_token);
    if (temperature <= kArgmaxTemperature) return argmax(chunks);
    const RowSummary summary{extents_.data(), statistics_.partial.max, temperature};
    GumbelRace race(summary, key);
    if (!truncates(sampling, static_cast<std::int32_t>(columns_)))
      return race_row(race, chunks, summary, bounds_.data());
    const std::size_t count = truncate(chunks, summary, sampling);
    std::uint64_t* keys = keys_.data();
    if (count <= kFewCandidates) return race_candidates(race, keys, count);
    return race_kept(race, chunks, summary, *std::min_element(keys, keys + count));
  }

  /// The same behind a drafted token that was drawn from the probabilities at `draft`: that token with probability
  /// min(1, p / q), else one drawn from what p leaves above q. What comes out is distributed as p. Source: Leviathan,
  /// Kalman, Matias, "Fast inference from transformers via speculative decoding" (ICML 2023).
  template <class T>
  std::int32_t draw_or_accept(const T* row, const SamplingParams& sampling, float temperature, const RandomKey& own,
                              std::int32_t drafted, const float* draft) noexcept {
    if (statistics_.status != RowStatus::kOk || temperature <= kArgmaxTemperature) {
      return draw(row, sampling, temperature, own);
    }
    RandomKey key = own;
    RowChunks<T> chunks(row, columns_);
    const RowSummary summary{extents_.data(), statistics_.partial.max, temperature};
    const HostTargetRule target = target_rule(chunks, summary, sampling);
    key.purpose = RandomPurpose::kAccepting;
    const double p = target.probability(to_float(row[drafted]), drafted, summary);
    if (keeps_draft(random_uniform(key), p, draft[drafted])) return drafted;
    key.purpose = RandomPurpose::kResidual;
    const std::int32_t residual = draw_residual(row, summary, target, draft, key);
    // Nowhere above the draft's, for all that floats can tell: the two are the same.
    return residual >= 0 ? residual : draw(row, sampling, temperature, own);
  }

  /// What is told of the token that was drawn from the row read last: its logprob, and its rank where `ranked`.
  template <class T>
  void describe(const T* row, bool ranked, SampledToken& result) noexcept {
    if (statistics_.status != RowStatus::kOk) return;
    const float x = to_float(row[result.token]);
    const double distance = add_rn(widen(x), -widen(statistics_.partial.max));
    result.logprob = static_cast<float>(add_rn(distance, -exact_log(statistics_.partial.sum)));
    if (ranked) result.rank = rank(row, candidate_key(x, result.token));
  }

 private:
  // The distribution that a row is drawn from, above kArgmaxTemperature.
  struct HostTargetRule {
    std::uint64_t cut;  // candidate keys below it have no probability
    double total;       // the sum of the weights that are left

    double probability(float x, std::int32_t id, const RowSummary& row) const noexcept {
      if (!is_finite(x) || candidate_key(x, id) < cut) return 0.0;
      return div_rn(candidate_weight(candidate_key(x, id), row), total);
    }
  };

  // What is left comes first in keys_; returns how many.
  template <class T>
  std::size_t truncate(RowChunks<T>& chunks, const RowSummary& row, const SamplingParams& sampling) noexcept {
    return truncate_row(chunks, row, columns_, sampling, statistics_.partial.sum, keys_.data());
  }

  template <class T>
  HostTargetRule target_rule(RowChunks<T>& chunks, const RowSummary& row, const SamplingParams& sampling) noexcept {
    if (!truncates(sampling, static_cast<std::int32_t>(columns_))) return {0, row_weight(chunks, row)};
    const std::size_t count = truncate(chunks, row, sampling);
    const std::uint64_t* keys = keys_.data();
    return {*std::min_element(keys, keys + count), total_weight(keys, count, row)};
  }

  // A sample of max(p - q, 0) over its sum, -1 where that is nowhere above 0: by two races, as any row's, where nothing
  // is truncated, and token by token otherwise.
  template <class T>
  std::int32_t draw_residual(const T* logits, const RowSummary& row, const HostTargetRule& target, const float* draft,
                             const RandomKey& key) const noexcept {
    const auto left = [&](std::size_t i) {
      return left_above(target.probability(to_float(logits[i]), static_cast<std::int32_t>(i), row), draft[i]);
    };
    const auto race = [&](std::size_t begin, std::size_t end) {
      HighestScore highest;
      for (std::size_t i = begin; i < end; ++i) {
        highest.take(left(i), static_cast<std::int32_t>(i), [&](std::int32_t id) { return gumbel_noise(key, id); });
      }
      return highest.place;
    };
    if (target.cut > 0) return race(0, columns_);
    HighestScore highest;
    for (std::size_t begin = 0; begin < columns_; begin += kEntropyChunk) {
      double mass = 0.0;
      for (std::size_t i = begin; i < std::min(begin + kEntropyChunk, columns_); ++i) mass = add_rn(mass, left(i));
      highest.take(mass, static_cast<std::int32_t>(begin / kEntropyChunk),
                   [&](std::int32_t chunk) { return chunk_noise(key, static_cast<std::uint32_t>(chunk)); });
    }
    if (highest.place < 0) return -1;
    const std::size_t begin = static_cast<std::size_t>(highest.place) * kEntropyChunk;
    return race(begin, std::min(begin + kEntropyChunk, columns_));
  }

  // The winner of a race for masses.
  struct HighestScore {
    std::int32_t place = -1;  // none
    double score = 0.0;

    template <class Noise>
    void take(double mass, std::int32_t candidate, Noise noise) noexcept {
      if (!(mass > 0.0)) return;
      const double own = add_rn(exact_log(mass), noise(candidate));
      if (place >= 0 && !(own > score)) return;
      score = own;
      place = candidate;
    }
  };

  // Tokens that are preferred to one.
  template <class T>
  std::int32_t rank(const T* row, std::uint64_t key) const noexcept {
    RowChunks<T> chunks(row, columns_);
    const std::uint32_t lowest = static_cast<std::uint32_t>(key >> 32);
    std::int32_t count = 0;
    for (std::size_t c = 0; c < chunks.count(); ++c) {
      if (order_of(extents_[c].max) < lowest) continue;
      const float* values = chunks.load(c);
      for (std::size_t i = 0; i < kEntropyChunk; ++i) {
        count += candidate_key(values[i], static_cast<std::int32_t>(c * kEntropyChunk + i)) > key ? 1 : 0;
      }
    }
    return count;
  }

  // Up to here, drawing a block of random numbers for each candidate is cheaper than drawing all of the row's.
  static constexpr std::size_t kFewCandidates = 4096;

  // The lowest id of the highest logit of a good row.
  template <class T>
  std::int32_t argmax(RowChunks<T>& chunks) const noexcept {
    // By bits: a processor that reads subnormals as zero would stop at the first of those. Zeros of both signs are
    // equal.
    const std::uint32_t bits = bits_of(statistics_.partial.max);
    const std::uint32_t mask = (bits & kFloatMagnitude) == 0 ? kFloatMagnitude : 0xffffffffu;
    const std::uint32_t highest = bits & mask;
    std::size_t c = 0;
    while ((bits_of(extents_[c].max) & mask) != highest) ++c;
    const float* values = chunks.load(c);
    std::size_t i = 0;
    while ((bits_of(values[i]) & mask) != highest) ++i;
    return static_cast<std::int32_t>(c * kEntropyChunk + i);
  }

  // The lowest id of the highest finite logit of any row, `fallback` if there is none.
  template <class T>
  std::int32_t highest_finite(RowChunks<T>& chunks, std::int32_t fallback) const noexcept {
    std::uint64_t best = 0;
    for (std::size_t c = 0; c < chunks.count(); ++c) {
      const float* values = chunks.load(c);
      for (std::size_t i = 0; i < kEntropyChunk; ++i) {
        if (!is_finite(values[i])) continue;
        best = std::max(best, candidate_key(values[i], static_cast<std::int32_t>(c * kEntropyChunk + i)));
      }
    }
    return best == 0 ? fallback : candidate_id(best);
  }

  std::size_t columns_;
  RowStatistics statistics_;
  std::vector<EntropyPartial> partials_;
  std::vector<ChunkExtent> extents_;
  std::vector<float> bounds_;
  std::vector<std::uint64_t> keys_;
};

}  // namespace RESET_INSTRUCTION_SET
}  // namespace detail
RESET_NAMESPACE_END
