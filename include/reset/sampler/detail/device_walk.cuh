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

/// A signed integer whose order is that of floats, subnormals included, in three instructions; zeros of both signs
/// are 0.
static __device__ __forceinline__ std::int32_t signed_order(float x) {
  const auto bits = static_cast<std::int32_t>(bits_of(x));
  const std::int32_t sign = bits >> 31;
  return ((bits & 0x7fffffff) ^ sign) - sign;
}
static __device__ __forceinline__ float number_of_signed(std::int32_t order) {
  return float_from_bits(order < 0 ? 0x80000000u - static_cast<std::uint32_t>(order)
                                   : static_cast<std::uint32_t>(order));
}

/// A place in the order of preference.
struct KeyFloor {
  std::int32_t order;  // of the logit
  std::int32_t id;

  /// That of a candidate's key; with 0 all finite logits are above.
  __device__ __forceinline__ explicit KeyFloor(std::uint64_t key)
      : order(signed_order(key == 0 ? float_from_bits(0xff800000u) : candidate_logit(key))), id(candidate_id(key)) {}

  /// Whether a token stands there or above.
  __device__ __forceinline__ bool reached(float x, std::int32_t other) const {
    return signed_order(x) >= order + (other > id ? 1 : 0);
  }
};

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
