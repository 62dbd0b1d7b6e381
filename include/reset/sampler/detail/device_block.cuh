/// @file
/// What a CTA of the device sampler does together: reductions whose result has the same bits in every thread.
#pragma once

#include <cstdint>

#include <reset/detail/launch.cuh>
#include <reset/sampler/detail/candidate.hpp>
#include <reset/sampler/detail/device_policy.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

inline constexpr unsigned kFullWarp = 0xffffffffu;

/// The lanes below this one.
static __device__ __forceinline__ std::uint32_t lanes_below() { return (1u << threadIdx.x % 32) - 1; }

/// The larger of two, NaN if either is; subnormals count, whatever the flags.
static __device__ __forceinline__ float max_or_nan(float a, float b) {
  float result;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
  return result;
}

/// 2^x within 2 ulp; 0 where that is subnormal.
static __device__ __forceinline__ float fast_exp2(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

/// log2 x within 2^-22, absolutely around 1 and relatively elsewhere; -inf at 0.
static __device__ __forceinline__ float fast_log2(float x) {
  float result;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

/// Memory for one reduction.
struct ReductionRoom {
  alignas(16) unsigned char bytes[kSamplerWarps * 16];
};

/// Two sums that are reduced together.
struct SumPair {
  double sum;
  double weighted_sum;
};

template <class Value>
static __device__ __forceinline__ Value shuffle_xor(Value value, int distance) {
  return __shfl_xor_sync(kFullWarp, value, distance);
}

static __device__ __forceinline__ SumPair shuffle_xor(SumPair pair, int distance) {
  return {shuffle_xor(pair.sum, distance), shuffle_xor(pair.weighted_sum, distance)};
}

/// All threads' values joined by a commutative `join` in one fixed tree over their numbers; every thread has the
/// result.
template <class Value, class Join>
static __device__ __forceinline__ Value block_reduce(Value value, Join join, ReductionRoom& room) {
  static_assert(sizeof(Value) <= 16, "a reduction's room is 16 bytes a warp");
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) value = join(value, shuffle_xor(value, distance));
  Value* warps = reinterpret_cast<Value*>(room.bytes);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  const Value low = join(join(warps[0], warps[1]), join(warps[2], warps[3]));
  const Value high = join(join(warps[4], warps[5]), join(warps[6], warps[7]));
  __syncthreads();
  return join(low, high);
}

/// The sum of integers over all threads.
template <class Value>
static __device__ __forceinline__ Value block_sum(Value value, ReductionRoom& room) {
  return block_reduce(
      value, [](Value a, Value b) { return a + b; }, room);
}

/// The highest key of a warp.
static __device__ __forceinline__ std::uint64_t warp_best(std::uint64_t key) {
  // In two steps, the upper halves first.
  const std::uint32_t high = __reduce_max_sync(kFullWarp, static_cast<std::uint32_t>(key >> 32));
  const bool leads = static_cast<std::uint32_t>(key >> 32) == high;
  const std::uint32_t low = __reduce_max_sync(kFullWarp, leads ? static_cast<std::uint32_t>(key) : 0u);
  return static_cast<std::uint64_t>(high) << 32 | low;
}

/// The highest key of all threads.
static __device__ __forceinline__ std::uint64_t block_best(std::uint64_t key, ReductionRoom& room) {
  std::uint64_t* warps = reinterpret_cast<std::uint64_t*>(room.bytes);
  key = warp_best(key);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = key;
  __syncthreads();
  std::uint64_t best = warps[0];
#pragma unroll
  for (int w = 1; w < kSamplerWarps; ++w) best = warps[w] > best ? warps[w] : best;
  __syncthreads();
  return best;
}

/// Whether this CTA is the last of `count` that take a ticket; it then sees what all have written before.
static __device__ __forceinline__ bool is_last(std::uint32_t* ticket, std::uint32_t count, std::int32_t& flag) {
  __syncthreads();
  if (threadIdx.x == 0) {
    // Releases what the barrier above has gathered, and acquires what the others released.
    std::uint32_t taken;
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;" : "=r"(taken) : "l"(ticket) : "memory");
    const bool last = taken == count - 1;
    if (last) *ticket = 0;  // for the next call; nobody else of this one comes
    flag = last ? 1 : 0;
  }
  __syncthreads();
  return flag != 0;
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
