/// @file
/// From the chunks of a row to the row: the last CTA merges what all of them found.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_memory.hpp>
#include <reset/sampler/detail/device_row.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// A row's chunks in shared memory, for the choice of the token.
struct ChunkRoom {
  float max[kSamplerThreads];
  float high[kSamplerThreads];
  float low[kSamplerThreads];
  float bounds[kSamplerThreads];
};

/// Thread c takes chunk c of the row into shared memory.
static __device__ __forceinline__ ChunkFacts take_chunk(const ChunkFacts* facts, int chunks, ChunkRoom& room) {
  const int self = static_cast<int>(threadIdx.x);
  ChunkFacts own{};
  own.max = float_from_bits(0xff800000u);
  if (self < chunks) {
    // Past the first-level cache: other multiprocessors wrote them.
    const float4 front = __ldcg(reinterpret_cast<const float4*>(&facts[self]));
    own.max = front.x;
    own.sum = front.y;
    own.weighted_sum = front.z;
    own.high = front.w;
    own.low = __ldcg(&facts[self].low);
  }
  room.max[self] = own.max;
  room.high[self] = own.high;
  room.low[self] = own.low;
  return own;
}

static __device__ __forceinline__ RowStatus status_of_max(float max) {
  if (is_nan(max)) return RowStatus::kNaN;
  if (is_finite(max)) return RowStatus::kOk;
  return bits_of(max) == kFloatInfinity ? RowStatus::kPositiveInfinity : RowStatus::kEmpty;
}

/// The statistics of a row from its thread's chunk. Every chunk is rebased to the row's maximum at once, S' = e^d S and
/// W' = e^d (W + d S) with d = m - m_row, and the sums are added in one fixed tree over the numbers of the chunks, in
/// double: the bits depend on the chunks alone.
static __device__ RowFacts row_facts(const ChunkFacts& own, ReductionRoom& room) {
  RowFacts facts{};
  facts.max = block_max(own.max, room);
  facts.status = status_of_max(facts.max);
  facts.entropy = float_from_bits(0x7fc00000u);
  if (facts.status != RowStatus::kOk) return facts;
  SumPair pair{0.0, 0.0};
  if (is_finite(own.max)) {
    const double distance = add_rn(static_cast<double>(own.max), -static_cast<double>(facts.max));
    const double factor = exact_exp(distance);
    const double sum = static_cast<double>(own.sum);
    pair.sum = mul_rn(factor, sum);
    // Where the factor is 0 the distance may be infinite in all but name; the product with it is not.
    pair.weighted_sum = mul_rn(factor, add_rn(static_cast<double>(own.weighted_sum), mul_rn(distance, sum)));
  }
  pair = block_reduce(
      pair,
      [](SumPair a, SumPair b) {
        return SumPair{add_rn(a.sum, b.sum), add_rn(a.weighted_sum, b.weighted_sum)};
      },
      room);
  facts.sum = pair.sum;
  facts.log_sum = exact_log(pair.sum);
  facts.entropy = static_cast<float>(add_rn(facts.log_sum, -div_rn(pair.weighted_sum, pair.sum)));
  return facts;
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
