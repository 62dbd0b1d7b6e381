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

static __device__ __forceinline__ bool truncates(const SamplingParams& sampling, int columns) {
  return (sampling.top_k > 0 && sampling.top_k < columns) || sampling.top_p < 1.0f || sampling.min_p > 0.0f;
}

static __device__ __forceinline__ PassKind pass_kind(const SamplingParams& sampling, const Temperatures& t,
                                                     int columns) {
  if (!(t.value[0] > kArgmaxTemperature) && !(t.value[1] > kArgmaxTemperature)) return PassKind::kEntropy;
  if (!truncates(sampling, columns)) return PassKind::kRace;
  const bool by_count = sampling.top_k > 0 && sampling.top_k < columns;
  return !by_count && sampling.top_p < 1.0f ? PassKind::kMass : PassKind::kEntropy;
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

/// Fills `bounds`: what the tokens of each chunk can reach in a race, from the pass where it knew the temperature.
static __device__ __forceinline__ void set_bounds(ChunkRoom& chunks, const RaceRule& rule, const float* noise) {
  constexpr float kMostNoise = 45.1f * kLog2E;
  const int self = static_cast<int>(threadIdx.x);
  const float distance = chunks.max[self] - rule.max;
  const bool competes = is_finite(chunks.max[self]) && order_of(chunks.max[self]) >= rule.cut >> 32;
  const float reach = distance * rule.scale + (noise == nullptr ? kMostNoise : noise[self]);
  chunks.bounds[self] = competes ? reach : float_from_bits(0xff800000u);
}

/// The mass of a row from what the pass has summed at `expected`; negative where that is of no use.
static __device__ double pass_mass(const ChunkRoom& chunks, float max, float temperature, const Temperatures& expected,
                                   ReductionRoom& room) {
  const int t = expected.index_of(temperature);
  if (t < 0) return -1.0;
  const int self = static_cast<int>(threadIdx.x);
  const float sum = chunks.side[t][self];
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
  const PassKind kind = pass_kind(sampling, expected, row.columns);
  const float* noise = nullptr;
  if (truncates(sampling, row.columns)) {
    const double total = kind == PassKind::kMass ? pass_mass(chunks, facts.max, temperature, expected, room) : -1.0;
    const KeptTokens kept = truncate_row(row, sampling, facts.max, temperature, total, chunks, list, room);
    if (kept.count > 0) {
      const Contender best = race_list(rule, kept.count, list, room);
      return {best.id, best.logit};
    }
    rule.cut = kept.cut;
  } else if (kind == PassKind::kRace) {
    const int t = expected.index_of(temperature);
    noise = t < 0 ? nullptr : chunks.side[t];
  }
  set_bounds(chunks, rule, noise);
  const Contender best = race_row(rule, row, chunks.bounds, room);
  return {best.id, best.logit};
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
