/// @file
/// How CTAs share out what a launch brings into the second-level cache for the kernels behind it.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/prefetch.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Brings a piece of global memory into the second-level cache.
__device__ __forceinline__ void prefetch_piece(const PrefetchPiece& piece) {
  if (piece.bytes == 0) return;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(piece.begin), "r"(piece.bytes) : "memory");
#else
  constexpr std::uintptr_t kLine = 128;
  for (std::uintptr_t line = piece.begin & ~(kLine - 1); line < piece.begin + piece.bytes; line += kLine) {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(line) : "memory");
  }
#endif
}

/// By one warp of every CTA: the CTAs take turns at the pieces, so that all ask for about as much.
__device__ __forceinline__ void prefetch_share(const Prefetch& prefetch, int lane) {
#pragma unroll 1
  for (int i = 0; i < prefetch.count; ++i) {
    const MemoryRegion& region = prefetch.regions[i];
    const std::int64_t pieces = prefetch_pieces(region);
#pragma unroll 1
    for (std::int64_t piece = lane * gridDim.x + blockIdx.x; piece < pieces; piece += 32 * gridDim.x) {
      prefetch_piece(prefetch_piece_of(region, piece));
    }
  }
}

}  // namespace detail
RESET_NAMESPACE_END
