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
  alignas(16) float max[kSamplerThreads];
  float mass[2][kSamplerThreads];  // at the two temperatures
  float bounds[kSamplerThreads];
};

/// Takes one chunk of the row into shared memory.
static __device__ __forceinline__ ChunkFacts take_chunk(const ChunkFacts* facts, int chunk, int chunks,
                                                        ChunkRoom& room) {
  ChunkFacts own{};
  own.max = float_from_bits(0xff800000u);
  if (chunk < chunks) {
    // Past the first-level cache: other multiprocessors wrote them.
    const float4 front = __ldcg(reinterpret_cast<const float4*>(&facts[chunk]));
    own.max = front.x;
    own.sum = front.y;
    own.weighted_sum = front.z;
    own.high = front.w;
    own.low = __ldcg(&facts[chunk].low);
  }
  room.max[chunk] = own.max;
  room.mass[0][chunk] = own.high;
  room.mass[1][chunk] = own.low;
  return own;
}

/// Takes all of them, by one warp.
static __device__ __forceinline__ void take_chunks(const ChunkFacts* facts, int chunks, ChunkRoom& room) {
#pragma unroll 2
  for (int chunk = static_cast<int>(threadIdx.x) % 32; chunk < kSamplerThreads; chunk += 32) {
    take_chunk(facts, chunk, chunks, room);
  }
}

static __device__ __forceinline__ RowStatus status_of_max(float max) {
  if (is_nan(max)) return RowStatus::kNaN;
  if (is_finite(max)) return RowStatus::kOk;
  return bits_of(max) == kFloatInfinity ? RowStatus::kPositiveInfinity : RowStatus::kEmpty;
}

static __device__ __forceinline__ float exponent_scale(float temperature) {
  return temperature > kArgmaxTemperature ? kLog2E / temperature : 0.0f;
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
