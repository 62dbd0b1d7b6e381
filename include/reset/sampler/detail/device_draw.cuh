/// @file
/// The token of a row once its temperature is known, by a whole CTA.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_pass.cuh>
#include <reset/sampler/detail/device_tail.cuh>
#include <reset/sampler/detail/device_truncate.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

static __device__ __forceinline__ Temperatures expected_temperatures(const RequestParams& request, bool active) {
  if (request.reset_enabled && active) return {{request.reset.t_high, request.reset.t_low}};
  return {{request.sampling.temperature, request.sampling.temperature}};
}

/// Whether a token is drawn from the whole row, at one of the temperatures at least.
static __device__ __forceinline__ bool races_whole(const SamplingParams& sampling, const Temperatures& t, int columns) {
  return !truncates(sampling, columns) && (t.value[0] > kArgmaxTemperature || t.value[1] > kArgmaxTemperature);
}

static __device__ __forceinline__ PassKind pass_kind(const SamplingParams& sampling, const Temperatures& t,
                                                     int columns) {
  const bool by_mass = !cuts_by_count(sampling, columns) && sampling.top_p < 1.0f;
  if (!by_mass && !races_whole(sampling, t, columns)) return PassKind::kEntropy;
  const bool high = t.value[0] > kArgmaxTemperature && t.value[0] != 1.0f;
  const bool low = t.value[1] > kArgmaxTemperature && t.value[1] != 1.0f;
  if (!high && !low) return PassKind::kEntropy;
  const bool two = high && low && t.value[0] != t.value[1];
  return two || (high && t.value[0] > 1.0f) || (low && t.value[1] > 1.0f) ? PassKind::kMasses : PassKind::kMass;
}

/// A token and its logit; the logit is not finite where the row has none that is.
struct DrawnToken {
  std::int32_t id;
  float logit;
};

/// The lowest id of the highest logit of a good row.
template <class T>
static __device__ __noinline__ DrawnToken draw_highest(const DeviceRow<T> row, const ChunkRoom& chunks,
                                                       ReductionRoom& room) {
  const int self = static_cast<int>(threadIdx.x);
  const int chunk = candidate_id(block_best(candidate_key(chunks.max[self], self), room));
  std::uint64_t best = 0;
#pragma unroll
  for (int q = 0; q < 4; ++q) {
    const int id = chunk * kChunk + q * kChunkBlocks + self;
    const std::uint64_t key = candidate_key(load_logit(row, id), id);
    best = key > best ? key : best;
  }
  best = block_best(best, room);
  return {candidate_id(best), candidate_logit(best)};
}

/// What a bad row gives: the lowest id of its highest finite logit, `fallback` if there is none.
template <class T>
static __device__ __noinline__ DrawnToken draw_highest_finite(const DeviceRow<T> row, std::int32_t fallback,
                                                              ReductionRoom& room) {
  std::uint64_t best = 0;
  for (int id = static_cast<int>(threadIdx.x); id < row.columns; id += kSamplerThreads) {
    const float x = load_logit(row, id);
    const std::uint64_t key = is_finite(x) ? candidate_key(x, id) : 0;
    best = key > best ? key : best;
  }
  best = block_best(best, room);
  return best == 0 ? DrawnToken{fallback, float_from_bits(0x7fc00000u)}
                   : DrawnToken{candidate_id(best), candidate_logit(best)};
}

/// How many tokens of a good row are preferred to one.
template <class T>
static __device__ __noinline__ std::int32_t rank_of(const DeviceRow<T> row, const ChunkRoom& chunks,
                                                    const DrawnToken token, ReductionRoom& room) {
  const std::uint64_t key = candidate_key(token.logit, token.id);
  std::int32_t count = 0;
  for (int chunk = 0; chunk < row.chunks(); ++chunk) {
    if (order_of(chunks.max[chunk]) < key >> 32) continue;
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      const int id = chunk * kChunk + q * kChunkBlocks + static_cast<int>(threadIdx.x);
      count += candidate_key(load_logit(row, id), id) > key ? 1 : 0;
    }
  }
  return block_reduce(
      count, [](std::int32_t a, std::int32_t b) { return a + b; }, room);
}

/// Fills `bounds` for `race_kept`: what the tokens of each chunk can reach.
static __device__ __forceinline__ void bound_tokens(ChunkRoom& chunks, const RaceRule& rule) {
  constexpr float kMostNoise = 45.1f * kLog2E;
  const float max = chunks.max[threadIdx.x];
  const bool competes = is_finite(max) && order_of(max) >= rule.cut >> 32;
  chunks.bounds[threadIdx.x] = competes ? (max - rule.max) * rule.scale + kMostNoise : kNoScore;
}

/// Fills `bounds` for `race_row`: the scores of chunks, as if each of their tokens were the best where `masses` is
/// null.
static __device__ __noinline__ void bound_chunks(ChunkRoom& chunks, const RaceRule rule, const float* masses) {
  const int self = static_cast<int>(threadIdx.x);
  const float max = chunks.max[self];
  const float mass = masses == nullptr ? static_cast<float>(kChunk) : masses[self];
  const float score = (max - rule.max) * rule.scale + fast_log2(mass) + chunk_noise_bits(rule.key, self);
  chunks.bounds[self] = is_finite(max) ? score : kNoScore;
}

/// The mass of a row from what the pass has summed at `expected`; negative where that is of no use.
static __device__ double pass_mass(const ChunkRoom& chunks, float max, float temperature, const Temperatures& expected,
                                   ReductionRoom& room) {
  const int t = expected.index_of(temperature);
  if (t < 0) return -1.0;
  const int self = static_cast<int>(threadIdx.x);
  const float sum = chunks.mass[t][self];
  const float factor = fast_exp2((chunks.max[self] - max) * (kLog2E / temperature));
  const double own = is_finite(chunks.max[self]) ? static_cast<double>(factor) * static_cast<double>(sum) : 0.0;
  return 0x1p40 * block_reduce(
                      own, [](double a, double b) { return add_rn(a, b); }, room);
}

/// The token of a row by the request's rule at `temperature`, one of `expected` unless the pass was wrong.
template <class T>
static __device__ __noinline__ DrawnToken draw_token(const DeviceRow<T> row, const RowFacts facts,
                                                     const SamplingParams& sampling, const Temperatures expected,
                                                     float temperature, const RandomKey key, ChunkRoom& chunks,
                                                     ListRoom& list, ReductionRoom& room) {
  if (facts.status != RowStatus::kOk) return draw_highest_finite(row, sampling.fallback_token, room);
  if (temperature <= kArgmaxTemperature) return draw_highest(row, chunks, room);
  RaceRule rule{key, facts.max, temperature, kLog2E / temperature, 0};
  Contender best{};
  if (!truncates(sampling, row.columns)) {
    const int t = expected.index_of(temperature);
    bound_chunks(chunks, rule, t < 0 ? nullptr : chunks.mass[t]);
    best = race_row(rule, row, chunks.max, chunks.bounds, room);
    return {best.id, best.logit};
  }
  const bool weighed = !cuts_by_count(sampling, row.columns) && sampling.top_p < 1.0f;
  const double total = weighed ? pass_mass(chunks, facts.max, temperature, expected, room) : -1.0;
  const KeptTokens kept = truncate_row(row, sampling, facts.max, temperature, total, chunks, list, room);
  if (kept.count > 0) {
    best = race_list(rule, kept.count, list, room);
  } else {
    rule.cut = kept.cut;
    bound_tokens(chunks, rule);
    best = race_kept(rule, row, chunks.bounds, room);
  }
  return {best.id, best.logit};
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
