/// @file
/// Shared memory by its 32-bit addresses, which take one register where a pointer takes two; and that of a cluster's
/// other CTAs.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/barrier.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {

/// The 16 bytes at an address, a multiple of 16, plus an offset that the instruction holds.
template <int kOffset>
__device__ __forceinline__ uint4 load_shared16(std::uint32_t address) {
  uint4 value;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4 + %5];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "r"(address), "n"(kOffset));
  return value;
}

/// The 8 bytes there, a multiple of 8.
template <int kOffset>
__device__ __forceinline__ uint2 load_shared8(std::uint32_t address) {
  uint2 value;
  asm volatile("ld.shared.v2.u32 {%0, %1}, [%2 + %3];" : "=r"(value.x), "=r"(value.y) : "r"(address), "n"(kOffset));
  return value;
}

/// The 2 bytes there.
template <int kOffset>
__device__ __forceinline__ std::uint32_t load_shared2(std::uint32_t address) {
  std::uint16_t value;
  asm volatile("ld.shared.u16 %0, [%1 + %2];" : "=h"(value) : "r"(address), "n"(kOffset));
  return value;
}

/// The byte there.
template <int kOffset>
__device__ __forceinline__ std::uint32_t load_shared1(std::uint32_t address) {
  std::uint32_t value;
  asm volatile("ld.shared.u8 %0, [%1 + %2];" : "=r"(value) : "r"(address), "n"(kOffset));
  return value;
}

__device__ __forceinline__ void store_shared(std::uint32_t address, float4 value) {
  asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(address), "f"(value.x), "f"(value.y), "f"(value.z),
               "f"(value.w)
               : "memory");
}
__device__ __forceinline__ void store_shared(std::uint32_t address, float2 value) {
  asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(address), "f"(value.x), "f"(value.y) : "memory");
}

__device__ __forceinline__ void load_shared(std::uint32_t address, float4& value) {
  asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(value.x), "=f"(value.y), "=f"(value.z), "=f"(value.w)
               : "r"(address));
}
__device__ __forceinline__ void load_shared(std::uint32_t address, float2& value) {
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(value.x), "=f"(value.y) : "r"(address));
}

/// The same address, by an instruction that the compiler will not repeat: where registers are short it would rather
/// compute addresses anew in every turn of a loop.
__device__ __forceinline__ std::uint32_t computed_once(std::uint32_t address) {
  return __shfl_xor_sync(0xffffffffu, address, 0);
}

/// The same value, of which the compiler knows nothing: what follows from it is computed there and then, and takes no
/// registers before.
__device__ __forceinline__ int opaque(int value) {
  int same;
  asm volatile("mov.b32 %0, %1;" : "=r"(same) : "r"(value));
  return same;
}

__device__ __forceinline__ void store_shared4(std::uint32_t address, std::uint32_t value) {
  asm volatile("st.shared.u32 [%0], %1;" ::"r"(address), "r"(value) : "memory");
}

__device__ __forceinline__ void store_shared1(std::uint32_t address, std::uint32_t value) {
  asm volatile("st.shared.u8 [%0], %1;" ::"r"(address), "r"(value) : "memory");
}

#if __CUDA_ARCH__ >= 900 || !defined(__CUDA_ARCH__)

/// Place of this CTA in its cluster; read where it is needed, not kept in a register.
__device__ __forceinline__ int cluster_rank() {
  std::uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return static_cast<int>(rank);
}

/// Where CTA `rank` of the cluster has what this CTA has at `address`.
__device__ __forceinline__ std::uint32_t cluster_address(std::uint32_t address, int rank) {
  std::uint32_t result;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(result) : "r"(address), "r"(rank));
  return result;
}

/// Sends 16 bytes to shared memory of the cluster; the barrier beside them counts them when they have landed.
__device__ __forceinline__ void send(std::uint32_t address, float4 value, std::uint32_t barrier) {
  asm volatile(
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, [%5];" ::"r"(address),
      "f"(value.x), "f"(value.y), "f"(value.z), "f"(value.w), "r"(barrier)
      : "memory");
}

__device__ __forceinline__ void send(std::uint32_t address, float2 value, std::uint32_t barrier) {
  asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.f32 [%0], {%1, %2}, [%3];" ::"r"(address),
               "f"(value.x), "f"(value.y), "r"(barrier)
               : "memory");
}

/// Tells the CTAs of the cluster that this one has started and initialised its barriers, and waits for the others. No
/// other memory is ordered by it: that would cost a fence of the whole device.
__device__ __forceinline__ void cluster_arrive() { asm volatile("barrier.cluster.arrive.relaxed;" ::: "memory"); }
__device__ __forceinline__ void cluster_wait() { asm volatile("barrier.cluster.wait;" ::: "memory"); }

#endif

}  // namespace detail
RESET_NAMESPACE_END
