/// @file
/// Going through the logits of a row once more, where what the first read has left does not tell.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/candidate.hpp>
#include <reset/sampler/detail/device_row.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// By a whole CTA that has the row to itself: shows the logits of ids begin..end - 1 to f(x, id), a run of neighbours a
/// thread; behind the row's end they are -inf. `begin` is a multiple of 8. One multiprocessor goes through a whole row:
/// what f takes in instructions is what counts.
template <class T, class F>
static __device__ __forceinline__ void for_each_logit(const DeviceRow<T>& row, int begin, int end, F f) {
  constexpr int kRun = 8;
  int first = begin + kRun * static_cast<int>(threadIdx.x);
  LogitRun<T, kRun> next = load_any<kRun>(row, first);
#pragma unroll 1
  for (; first < end; first += kRun * kSamplerThreads) {
    const LogitRun<T, kRun> run = next;
    // Comes while this one is worked on.
    next = load_any<kRun>(row, first + kRun * kSamplerThreads);
#pragma unroll
    for (int i = 0; i < kRun; ++i) f(run.at(i), first + i);
  }
}

/// By a warp: the same with the logits of a chunk.
template <class T, class F>
static __device__ __forceinline__ void for_each_in_chunk(const DeviceRow<T>& row, int chunk, F f) {
  constexpr int kRun = kChunkBlocks / 32;
  int first = chunk * kChunk + kRun * (static_cast<int>(threadIdx.x) % 32);
  LogitRun<T, kRun> next = load_any<kRun>(row, first);
#pragma unroll 1
  for (int quarter = 0; quarter < 4; ++quarter, first += kChunkBlocks) {
    const LogitRun<T, kRun> run = next;
    if (quarter < 3) next = load_any<kRun>(row, first + kChunkBlocks);
#pragma unroll
    for (int i = 0; i < kRun; ++i) f(run.at(i), first + i);
  }
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
