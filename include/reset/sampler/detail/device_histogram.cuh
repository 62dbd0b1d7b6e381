/// @file
/// Sums by bins in shared memory, and where the sum of the highest ones reaches an amount.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_block.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// Sums by 256 bins. Additions of 64 bits to shared memory are loops of compare-and-swap, those of 32 bits are not: a
/// sum is kept in pieces of 14 bits, which 2^18 addends do not overflow, and in copies, so that lanes that agree on a
/// bin get in each other's way less.
struct Histogram {
  static constexpr int kBins = kSamplerThreads;
  static constexpr int kCopies = 4;
  static constexpr int kPieces = 3;
  static constexpr int kPieceBits = 14;
  std::uint32_t piece[kPieces][kBins * kCopies];
};

template <int kPieces>
static __device__ __forceinline__ void clear_bins(Histogram& bins) {
  __syncthreads();
#pragma unroll
  for (int p = 0; p < kPieces; ++p) {
#pragma unroll
    for (int copy = 0; copy < Histogram::kCopies; ++copy) bins.piece[p][copy * kSamplerThreads + threadIdx.x] = 0;
  }
  __syncthreads();
}

template <int kPieces>
static __device__ __forceinline__ void add_to_bin(Histogram& bins, int bin, std::uint64_t amount) {
  const int at = bin * Histogram::kCopies + static_cast<int>(threadIdx.x) % Histogram::kCopies;
#pragma unroll
  for (int p = 0; p < kPieces; ++p) {
    constexpr std::uint64_t kMask = (std::uint64_t{1} << Histogram::kPieceBits) - 1;
    atomicAdd(&bins.piece[p][at], static_cast<std::uint32_t>(amount >> p * Histogram::kPieceBits & kMask));
  }
}

template <int kPieces>
static __device__ __forceinline__ std::uint64_t sum_of_bin(const Histogram& bins, int bin) {
  std::uint64_t sum = 0;
#pragma unroll
  for (int p = 0; p < kPieces; ++p) {
#pragma unroll
    for (int copy = 0; copy < Histogram::kCopies; ++copy) {
      sum += static_cast<std::uint64_t>(bins.piece[p][bin * Histogram::kCopies + copy]) << p * Histogram::kPieceBits;
    }
  }
  return sum;
}

/// Sums over the threads.
struct Scan {
  std::uint64_t before;  // of the threads before this one
  std::uint64_t total;
};

static __device__ Scan block_scan(std::uint64_t own, ReductionRoom& room) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  std::uint64_t sum = own;
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const std::uint64_t before = __shfl_up_sync(kFullWarp, sum, static_cast<unsigned>(distance));
    if (lane >= distance) sum += before;
  }
  std::uint64_t* warps = reinterpret_cast<std::uint64_t*>(room.bytes);
  if (lane == 31) warps[warp] = sum;
  __syncthreads();
  Scan scan{sum - own, 0};
  for (int w = 0; w < kSamplerWarps; ++w) {
    if (w < warp) scan.before += warps[w];
    scan.total += warps[w];
  }
  __syncthreads();
  return scan;
}

/// Threads have bins from the highest down.
static __device__ __forceinline__ int bin_of_thread() { return Histogram::kBins - 1 - static_cast<int>(threadIdx.x); }

/// The bin in which the sum from the highest bin down reaches `need`, and what the bins above it hold; -1 if none does.
struct Crossing {
  std::int32_t bin;
  std::uint64_t above;
};

struct Told {
  std::uint64_t bin;
  std::uint64_t above;
};

static __device__ __forceinline__ Told shuffle_xor(const Told& told, int distance) {
  return {shuffle_xor(told.bin, distance), shuffle_xor(told.above, distance)};
}

/// `own`: what the bin of each thread holds, the highest bin's first.
static __device__ __noinline__ Crossing find_crossing(std::uint64_t own, double need, ReductionRoom& room) {
  const int bin = bin_of_thread();
  const Scan scan = block_scan(own, room);
  const bool here = static_cast<double>(scan.before) < need && static_cast<double>(scan.before + own) >= need;
  // At most one thread has something to tell.
  const Told told = block_reduce(
      here ? Told{static_cast<std::uint64_t>(bin + 1), scan.before} : Told{0, 0},
      [](Told a, Told b) {
        return Told{a.bin | b.bin, a.above | b.above};
      },
      room);
  return {static_cast<std::int32_t>(told.bin) - 1, told.above};
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
