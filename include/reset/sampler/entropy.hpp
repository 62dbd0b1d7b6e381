/// @file
/// One-pass softmax statistics of a row of logits, their merge, and the entropy in nats.
#pragma once

#include <cstddef>
#include <cstdint>

#include <reset/sampler/detail/exact_math.hpp>
#include <reset/sampler/detail/row_chunks.hpp>
#include <reset/sampler/logits.hpp>

RESET_NAMESPACE_BEGIN

/// What a set of logits x contributes to the softmax over a larger set: m = max x, S = sum e^(x-m) and
/// W = sum (x-m) e^(x-m). Two of them merge into that of the union; the empty one is the identity.
struct EntropyPartial {
  double sum = 0.0;           ///< S; at least 1 unless the set is empty, and then 0.
  double weighted_sum = 0.0;  ///< W; never positive.
  float max = 0.0f;           ///< m; without meaning while the set is empty.

  /// Whether no logit above -inf is in the set.
  RESET_HOST_DEVICE constexpr bool empty() const noexcept { return sum == 0.0; }
};

/// The partial of the union of two disjoint sets: the one with the smaller maximum is rebased by d = m_small - m_large,
/// W' = e^d (W + d S) and S' = e^d S. Commutative to the bit; not associative, so merge in one fixed tree.
template <class Code = detail::HostCode>
RESET_HOST_DEVICE inline EntropyPartial merge(const EntropyPartial& a, const EntropyPartial& b) noexcept {
  if (b.empty()) return a;
  if (a.empty()) return b;
  const bool first_is_high = detail::order_of(a.max) >= detail::order_of(b.max);
  const EntropyPartial& high = first_is_high ? a : b;
  const EntropyPartial& low = first_is_high ? b : a;
  const double distance = detail::add_rn(static_cast<double>(low.max), -static_cast<double>(high.max));
  const double factor = detail::exact_exp(distance);
  const double rebased = detail::add_rn(low.weighted_sum, detail::mul_rn(distance, low.sum));
  EntropyPartial merged;
  merged.max = high.max;
  merged.sum = detail::add_rn(high.sum, detail::mul_rn(factor, low.sum));
  merged.weighted_sum = detail::add_rn(high.weighted_sum, detail::mul_rn(factor, rebased));
  return merged;
}

/// Merges `count` partials in place in the one fixed tree of this library and returns the root: level by level
/// neighbours 2i and 2i+1 are merged, and a last one without a neighbour moves up as it is. Whoever merged an aligned
/// group of 2^n neighbours before (a CTA, a thread) finds the same bits at the root. `partials` is overwritten; empty
/// for `count` = 0.
template <class Code = detail::HostCode>
RESET_HOST_DEVICE inline EntropyPartial merge_tree(EntropyPartial* partials, std::size_t count) noexcept {
  if (count == 0) return {};
  while (count > 1) {
    const std::size_t pairs = count / 2;
    for (std::size_t i = 0; i < pairs; ++i) partials[i] = merge<Code>(partials[2 * i], partials[2 * i + 1]);
    if (count % 2 != 0) partials[pairs] = partials[count - 1];
    count = pairs + count % 2;
  }
  return partials[0];
}

/// H = log S - W/S in nats, for the softmax of the whole set; both terms are non-negative. NaN for the empty set.
template <class Code = detail::HostCode>
RESET_HOST_DEVICE inline double entropy(const EntropyPartial& partial) noexcept {
  if (partial.empty()) return detail::double_from_bits(0x7ff8000000000000ull);
  return detail::add_rn(detail::exact_log(partial.sum), -detail::div_rn(partial.weighted_sum, partial.sum));
}

/// Whether a row of logits is a distribution.
enum class RowStatus : std::uint8_t {
  kOk,                ///< It is: at least one finite value, the others finite or -inf.
  kNaN,               ///< It holds a NaN.
  kPositiveInfinity,  ///< It holds +inf (and no NaN).
  kEmpty,             ///< Every value is -inf, or there is none.
  kRefused,           ///< On the device: the row's slot, position or token is outside its domain; nothing was done.
  kUnused,            ///< In a step: a row behind the first draft that did not hold; nothing was drawn.
};

/// Of two findings about parts of one row, the one about the row.
RESET_HOST_DEVICE constexpr RowStatus merge(RowStatus a, RowStatus b) noexcept {
  if (a == RowStatus::kNaN || b == RowStatus::kNaN) return RowStatus::kNaN;
  if (a == RowStatus::kPositiveInfinity || b == RowStatus::kPositiveInfinity) return RowStatus::kPositiveInfinity;
  return a == RowStatus::kOk || b == RowStatus::kOk ? RowStatus::kOk : RowStatus::kEmpty;
}

/// The statistics of one chunk of a row, or of a whole row.
struct RowStatistics {
  EntropyPartial partial;                ///< Of every value above -inf; empty where the status is not kOk.
  RowStatus status = RowStatus::kEmpty;  ///< What the values are.
};

/// The statistics of one chunk: `values` holds exactly `kEntropyChunk` floats, -inf where the row has ended. Where not
/// null, `extent` receives what they span.
///
/// Sums of at most 64 products run in float and are added in double, in one fixed order.
template <class Code = detail::HostCode>
inline RowStatistics chunk_statistics(const float* values, ChunkExtent* extent = nullptr) noexcept {
  RowStatistics result;
  const detail::ChunkRange range = detail::chunk_range(values);
  if (extent != nullptr) *extent = {range.max, range.depth()};
  if (range.has_nan()) {
    result.status = RowStatus::kNaN;
  } else if (detail::bits_of(range.max) == detail::kFloatInfinity) {
    result.status = RowStatus::kPositiveInfinity;
  } else if (!detail::is_inf(range.max)) {
    result.status = RowStatus::kOk;
    const detail::ChunkSums sums = detail::chunk_sums(values, {range.max, range.depth()}, range.max, 1.0f);
    result.partial.max = range.max;
    result.partial.sum = sums.sum;
    result.partial.weighted_sum = sums.weighted_sum;
  }
  return result;
}

/// Statistics of a row of `columns` logits (float, `Half` or `BFloat16`), chunk by chunk: chunk c covers the ids
/// [c kEntropyChunk, (c + 1) kEntropyChunk). `scratch` must hold
/// chunk_count(columns) partials, and so must `extents` ChunkExtent where it is not null; it receives what every chunk
/// spans (meaningful if the status is kOk).
///
/// |entropy - exact entropy| <= 1e-6 max(1, H). Within one build a row has the same bits wherever and however often it
/// is read; compilers contract and reassociate float sums differently, so that its last bits may differ in another
/// build.
template <class T, class Code = detail::HostCode>
RowStatistics row_statistics(const T* row, std::size_t columns, EntropyPartial* scratch,
                             ChunkExtent* extents = nullptr) {
  static_assert(is_logit_v<T>, "logits are float, Half or BFloat16");
  RowStatistics total;
  detail::RowChunks<T> chunks(row, columns);
  for (std::size_t c = 0; c < chunks.count(); ++c) {
    const RowStatistics part = chunk_statistics<Code>(chunks.load(c), extents != nullptr ? extents + c : nullptr);
    scratch[c] = part.partial;
    total.status = merge(total.status, part.status);
  }
  if (total.status == RowStatus::kOk) total.partial = merge_tree<Code>(scratch, chunks.count());
  return total;
}

RESET_NAMESPACE_END
