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
static __device__ __forceinline__ void take_chunk(const ChunkFacts* facts, int chunk, int chunks, ChunkRoom& room) {
  const bool exists = chunk < chunks;
  // Past the first-level cache: other multiprocessors wrote them.
  room.max[chunk] = exists ? __ldcg(&facts[chunk].max) : float_from_bits(0xff800000u);
  room.mass[0][chunk] = exists ? __ldcg(&facts[chunk].high) : 0.0f;
  room.mass[1][chunk] = exists ? __ldcg(&facts[chunk].low) : 0.0f;
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
