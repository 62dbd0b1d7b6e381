/// @file
/// From the chunks of a row to the row: the last CTA merges what all of them found.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_facts.cuh>
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
static __device__ __forceinline__ void take_chunk(const ChunkHalf& masses, int chunk, bool exists, ChunkRoom& room) {
  room.max[chunk] = exists ? masses.max : float_from_bits(0xff800000u);
  room.mass[0][chunk] = exists ? masses.first : 0.0f;
  room.mass[1][chunk] = exists ? masses.second : 0.0f;
}

/// Takes all of them, by one warp.
static __device__ __forceinline__ void take_chunks(const RowChunkFacts& facts, ChunkRoom& room) {
  constexpr int kAtOnce = 2;
#pragma unroll 1
  for (int first = static_cast<int>(threadIdx.x) % 32; first < kSamplerThreads; first += 32 * kAtOnce) {
    ChunkHalf masses[kAtOnce];
    facts.await(masses, [&](int i) { return load_half(facts.masses(first + 32 * i)); });
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) take_chunk(masses[i], first + 32 * i, first + 32 * i < facts.count, room);
  }
}

/// Takes those of a row that another CTA has merged, by all threads.
static __device__ __noinline__ void load_chunks(const ChunkFacts* facts, int count, ChunkRoom& room) {
  const auto chunk = static_cast<int>(threadIdx.x);
  __syncthreads();
  take_chunk(load_half(&facts[min(chunk, count - 1)].masses), chunk, chunk < count, room);
  __syncthreads();
}

static __device__ __forceinline__ RowStatus status_of_max(float max) {
  if (is_nan(max)) return RowStatus::kNaN;
  if (is_finite(max)) return RowStatus::kOk;
  return bits_of(max) == kFloatInfinity ? RowStatus::kPositiveInfinity : RowStatus::kEmpty;
}

static __device__ __forceinline__ float exponent_scale(float temperature) {
  return temperature > kArgmaxTemperature ? kLog2EFloat / temperature : 0.0f;
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
