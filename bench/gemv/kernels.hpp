// The benchmarks' own kernels: random memory, the floor, the clock.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace bench {

// Random words: the bits of `keep` are drawn, those of `set` are one.
struct BitPattern {
  unsigned keep;
  unsigned set;
};

// Both signs everywhere but in the scales; exponents small, so that no sum leaves the range of 16 bits.
inline constexpr BitPattern kRandomE2m1 = {0xffffffffu, 0};
inline constexpr BitPattern kRandomScales = {0x1f1f1f1fu, 0x20202020u};  // E4M3, 1/8 to 2
inline constexpr BitPattern kRandomE4m3 = {0xbfbfbfbfu, 0};              // below 2
inline constexpr BitPattern kRandomBf16 = {0x83ff83ffu, 0x3c003c00u};    // 2^-7 to 2
inline constexpr BitPattern kRandomFp16 = {0x9fff9fffu, 0x20002000u};    // 2^-7 to 2

// Root of the mean square of kRandomBf16: 2^e (1 + f), e of -7..0 and f of 0..1 alike likely.
inline constexpr double kRandomBf16Rms = 0.6236;

// Fills `bytes`, rounded up to a multiple of 4.
void fill(void* data, std::size_t bytes, BitPattern pattern, unsigned seed, cudaStream_t stream);

// The floor: reads `bytes` and does nothing else, 16 bytes a load, 8 CTAs of 256 threads on each multiprocessor.
void read_only(const void* data, std::size_t bytes, unsigned* sink, int sm_count, cudaStream_t stream);

// The multiprocessors' clock in MHz while all of them compute: clock64 against globaltimer. `scratch` is 16 bytes of
// device memory.
double sm_clock_mhz(unsigned long long* scratch, int sm_count, cudaStream_t stream);

}  // namespace bench
