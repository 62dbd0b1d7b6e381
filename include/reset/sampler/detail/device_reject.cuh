/// @file
/// Speculative decoding by rejection: a drafted token is kept with probability min(1, p / q), and what takes its place
/// is drawn from what p leaves above q. The token that comes out is distributed as p, whatever q is.
///
/// Source: Leviathan, Kalman, Matias, "Fast inference from transformers via speculative decoding" (ICML 2023).
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_draw.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// The distribution that a row is drawn from, above kArgmaxTemperature.
struct TargetRule {
  MassScale scale;
  std::uint64_t cut;  // candidate keys below it have no probability
  float inverse;      // 1 over the sum of the weights that are left

  __device__ __forceinline__ float probability(float x, std::int32_t id) const {
    if (!is_finite(x) || candidate_key(x, id) < cut) return 0.0f;
    return fast_exp2((x - scale.max) * scale.per_nat) * inverse;
  }
};

template <class T>
static __device__ TargetRule target_rule(const DeviceRow<T>& row, const RowFacts& facts, const SamplingParams& sampling,
                                         float temperature, const ChunkRoom& chunks, ListRoom& list,
                                         ReductionRoom& room) {
  TargetRule rule{{facts.max, kLog2E / temperature}, 0, 0.0f};
  if (truncates(sampling, row.columns)) {
    rule.cut = truncate_row(row, sampling, facts.max, temperature, -1.0, chunks, list, room).cut;
  }
  const double total = static_cast<double>(select_total(row, rule.cut, rule.scale, room));
  rule.inverse = static_cast<float>(0x1p40 / total);
  return rule;
}

/// A sample of max(p - q, 0) over its sum; -1 where that is nowhere above 0. Scores are floats: where two come closer
/// than 1e-5 in bits, either may win.
template <class T>
static __device__ std::int32_t draw_residual(const DeviceRow<T>& row, const TargetRule& rule, const float* draft,
                                             const RandomKey& key, ReductionRoom& room) {
  std::uint64_t best = 0;
  for (int chunk = 0; chunk < row.chunks(); ++chunk) {
    const int first = chunk * kChunk + static_cast<int>(threadIdx.x);
    const PhiloxBlock words = random_block(key, random_slot(first).block);
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      const std::int32_t id = first + q * kChunkBlocks;
      if (id >= row.columns) break;
      const float left = rule.probability(load_logit(row, id), id) - draft[id];
      if (!(left > 0.0f)) continue;
      const std::uint64_t own =
          candidate_key(fast_log2(left) - log2_exponential(key, token_place(id), words.word[q]), id);
      best = own > best ? own : best;
    }
  }
  best = block_best(best, room);
  return best == 0 ? -1 : candidate_id(best);
}

/// The token behind a row whose drafted token is `drafted`, drawn from the probabilities at `draft`: that one if it is
/// accepted, another if not.
template <class T>
static __device__ __noinline__ std::int32_t draw_or_accept(const DeviceRow<T> row, const RowFacts facts,
                                                           const SamplingParams& sampling, float temperature,
                                                           RandomKey key, std::int32_t drafted, const float* draft,
                                                           ChunkRoom& chunks, ListRoom& list, ReductionRoom& room) {
  const TargetRule rule = target_rule(row, facts, sampling, temperature, chunks, list, room);
  key.purpose = RandomPurpose::kAccepting;
  const double p = static_cast<double>(rule.probability(load_logit(row, drafted), drafted));
  if (random_uniform(key) * static_cast<double>(draft[drafted]) < p) return drafted;
  key.purpose = RandomPurpose::kResidual;
  const std::int32_t residual = draw_residual(row, rule, draft, key, room);
  if (residual >= 0) return residual;
  // Nowhere above the draft's, for all that floats can tell: the two are the same.
  const Temperatures none{{-1.0f, -1.0f}};
  return draw_token(row, facts, sampling, none, temperature, key, chunks, list, room).id;
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
