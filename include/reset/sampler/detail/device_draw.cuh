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
  for_each_logit(row, 0, row.columns, [&](float x, std::int32_t id) {
    const std::uint64_t key = is_finite(x) ? candidate_key(x, id) : 0;
    best = key > best ? key : best;
  });
  best = block_best(best, room);
  return best == 0 ? DrawnToken{fallback, float_from_bits(0x7fc00000u)}
                   : DrawnToken{candidate_id(best), candidate_logit(best)};
}

/// How many tokens of a good row are preferred to one.
template <class T>
static __device__ __noinline__ std::int32_t rank_of(const DeviceRow<T> row, const ChunkRoom& chunks,
                                                    const DrawnToken token, ReductionRoom& room) {
  const std::int32_t order = signed_order(token.logit);
  std::int32_t count = 0;
#pragma unroll 1
  for (int chunk = static_cast<int>(threadIdx.x) / 32; chunk < row.chunks(); chunk += kSamplerWarps) {
    if (signed_order(chunks.max[chunk]) < order) continue;
    for_each_in_chunk(row, chunk, [&](float x, std::int32_t id) {
      count += signed_order(x) > order - (id < token.id ? 1 : 0) ? 1 : 0;
    });
  }
  return block_sum(count, room);
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

/// The mass of the row from what the pass has summed; negative where that is of no use.
template <class Room>
static __device__ double pass_mass(Room& room) {
  const float temperature = room.result().policy.temperature;
  const int t = room.tail.expected.index_of(temperature);
  if (t < 0) return -1.0;
  const ChunkRoom& chunks = room.chunks;
  const int self = static_cast<int>(threadIdx.x);
  const float sum = chunks.mass[t][self];
  const float factor = fast_exp2((chunks.max[self] - room.tail.facts.max) * (kLog2EFloat / temperature));
  const double own = is_finite(chunks.max[self]) ? static_cast<double>(factor) * static_cast<double>(sum) : 0.0;
  return 0x1p40 * block_reduce(
                      own, [](double a, double b) { return add_rn(a, b); }, room.reduction);
}

/// The random numbers of the request that is in the room.
template <class Room>
static __device__ __forceinline__ RandomKey random_key(std::int64_t position, RandomPurpose purpose, Room& room) {
  return {room.slot().request.seed, position, purpose};
}

/// The token of the row whose facts, chunks and temperature are in the room, by the request's rule.
template <class T, class Room>
static __device__ __noinline__ DrawnToken draw_token(const DeviceRow<T> row, std::int64_t position, Room& room) {
  const RowFacts& facts = room.tail.facts;
  const SamplingParams& sampling = room.slot().request.sampling;
  const float temperature = room.result().policy.temperature;
  ChunkRoom& chunks = room.chunks;
  if (facts.status != RowStatus::kOk) return draw_highest_finite(row, sampling.fallback_token, room.reduction);
  if (temperature <= kArgmaxTemperature) return draw_highest(row, chunks, room.reduction);
  const RandomKey key = random_key(position, room.slot().request.purpose, room);
  RaceRule rule{key, facts.max, temperature, kLog2EFloat / temperature, 0};
  if (!truncates(sampling, row.columns)) {
    const int t = room.tail.expected.index_of(temperature);
    bound_chunks(chunks, rule, t < 0 ? nullptr : chunks.mass[t]);
    return race_row(rule, row, chunks.max, chunks.bounds, room.reduction);
  }
  const bool weighed = !cuts_by_count(sampling, row.columns) && sampling.top_p < 1.0f;
  const KeptTokens kept = truncate_row(row, weighed ? pass_mass(room) : -1.0, room);
  if (kept.count > 0) return race_list(rule, kept.count, room.list, room.reduction);
  rule.cut = kept.cut;
  return race_kept(rule, row, chunks.max, room.reduction);
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
