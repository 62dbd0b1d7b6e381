/// @file
/// How CTAs share out what a launch brings into the second-level cache for the kernels behind it.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/prefetch.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Brings up to `bytes` of global memory into the second-level cache; whole units of 16 bytes that lie within.
__device__ __forceinline__ void prefetch_piece(std::uintptr_t begin, int bytes) {
  const std::uintptr_t first = (begin + 15) & ~std::uintptr_t{15};
  const std::uintptr_t end = (begin + static_cast<std::uintptr_t>(bytes)) & ~std::uintptr_t{15};
  if (first >= end) return;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(first), "r"(static_cast<std::uint32_t>(end - first))
               : "memory");
#else
  constexpr std::uintptr_t kLine = 128;
  for (std::uintptr_t line = first; line < end; line += kLine) {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(line) : "memory");
  }
#endif
}

/// By one warp of every CTA: neighbouring CTAs take neighbouring pieces, so that all ask for about as much, and for
/// what comes first at first.
__device__ __forceinline__ void prefetch_share(const Prefetch& prefetch, int lane) {
  constexpr int kPiece = 2048;
#pragma unroll 1
  for (int i = 0; i < prefetch.count; ++i) {
    const MemoryRegion& region = prefetch.regions[i];
    const auto pieces = static_cast<int>((region.width + kPiece - 1) / kPiece);
#pragma unroll 1
    for (std::int64_t row = 0; row < region.rows; ++row) {
#pragma unroll 1
      for (auto piece = static_cast<int>(lane * gridDim.x + blockIdx.x); piece < pieces;
           piece += 32 * static_cast<int>(gridDim.x)) {
        const std::int64_t offset = std::int64_t{piece} * kPiece;
        prefetch_piece(region.begin + static_cast<std::uintptr_t>(row * region.stride + offset),
                       static_cast<int>(min(region.width - offset, std::int64_t{kPiece})));
      }
    }
  }
}

}  // namespace detail
RESET_NAMESPACE_END
