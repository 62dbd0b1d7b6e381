/// @file
/// What the CTAs of a row tell the one that ends it: no ticket and no fence, every half of a chunk's facts says itself
/// which call it is of. A fence and a ticket would take as long as the pass.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/sampler/detail/device_block.cuh>
#include <reset/sampler/detail/device_memory.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// Half of a chunk's facts in memory, to be written and read as one: in 128 bits, not as a vector of four.
static __device__ __forceinline__ void store_half(ChunkHalf* place, const ChunkHalf& half) {
  asm volatile(
      "{\n"
      ".reg .b64 low, high;\n"
      ".reg .b128 all;\n"
      "mov.b64 low, {%1, %2};\n"
      "mov.b64 high, {%3, %4};\n"
      "mov.b128 all, {low, high};\n"
      "st.relaxed.gpu.global.b128 [%0], all;\n"
      "}" ::"l"(place),
      "r"(bits_of(half.max)), "r"(half.call), "r"(bits_of(half.first)), "r"(bits_of(half.second))
      : "memory");
}
static __device__ __forceinline__ ChunkHalf load_half(const ChunkHalf* place) {
  ChunkHalf half;
  asm volatile(
      "{\n"
      ".reg .b64 low, high;\n"
      ".reg .b128 all;\n"
      "ld.relaxed.gpu.global.b128 all, [%4];\n"
      "mov.b128 {low, high}, all;\n"
      "mov.b64 {%0, %1}, low;\n"
      "mov.b64 {%2, %3}, high;\n"
      "}"
      : "=f"(half.max), "=r"(half.call), "=f"(half.first), "=f"(half.second)
      : "l"(place)
      : "memory");
  return half;
}

/// The chunk's maximum, and which call it is of: the front of a half, which comes as one with it.
struct ChunkMax {
  float max;
  std::uint32_t call;
};
static __device__ __forceinline__ ChunkMax load_max(const ChunkHalf* place) {
  ChunkMax result;
  asm volatile(
      "{\n"
      ".reg .b64 both;\n"
      "ld.relaxed.gpu.global.b64 both, [%2];\n"
      "mov.b64 {%0, %1}, both;\n"
      "}"
      : "=f"(result.max), "=r"(result.call)
      : "l"(place)
      : "memory");
  return result;
}

/// The facts of a row's chunks in a call.
struct RowChunkFacts {
  const ChunkFacts* facts;
  int count;
  std::uint32_t call;

  /// Of a chunk, or of the last one beyond it.
  __device__ __forceinline__ const ChunkHalf* sums(int chunk) const { return &facts[min(chunk, count - 1)].sums; }
  __device__ __forceinline__ const ChunkHalf* masses(int chunk) const { return &facts[min(chunk, count - 1)].masses; }

  /// By a warp: halves are loaded by `load` into `parts`, again until all lanes have those of this call.
  template <class Part, int kCount, class Load>
  __device__ __forceinline__ void await(Part (&parts)[kCount], Load load) const {
    bool here = false;
    while (!here) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) parts[i] = load(i);
      here = true;
#pragma unroll
      for (int i = 0; i < kCount; ++i) here = here && parts[i].call == call;
      here = __all_sync(kFullWarp, here);
    }
  }
};

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
