/// @file
/// The exact slow path of truncation: the lowest key that top-k, top-p and min-p keep, digit by digit over the whole
/// row, for rows of which more tokens are kept than a list holds.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_row.cuh>
#include <reset/sampler/sampler_types.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

inline constexpr std::int32_t kListLength = 2048;
inline constexpr int kBins = 256;

/// Candidates in shared memory.
struct ListRoom {
  union {
    std::uint64_t key[kListLength];
    unsigned long long bins[kBins];  // where the list is of no use
  };
  std::int32_t chunk[kSamplerThreads];
  std::int32_t chunks;
  std::int32_t listed;
};

/// How weights become integers.
struct MassScale {
  float max;      // of the row
  float per_nat;  // log2(e) / T
};

/// The weight e^((x - max) / T) in units of 2^-40.
static __device__ __forceinline__ std::uint64_t token_mass(float x, const MassScale& scale) {
  return static_cast<std::uint64_t>(fast_exp2((x - scale.max) * scale.per_nat) * 0x1p40f);
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

/// Shows every finite token of the row whose key is at least `floor` to f(x, key), in turns in which whole warps take
/// part; where there is none, the key is 0.
template <class T, class F>
static __device__ __forceinline__ void for_each_token(const DeviceRow<T>& row, std::uint64_t floor, F f) {
  for (int first = 0; first < row.columns; first += kSamplerThreads) {
    const int id = first + static_cast<int>(threadIdx.x);
    const float x = load_logit(row, id);
    const std::uint64_t key = is_finite(x) ? candidate_key(x, id) : 0;
    f(x, key >= floor ? key : 0);
  }
}

/// The mass of the tokens whose key is at least `floor`.
template <class T>
static __device__ std::uint64_t select_total(const DeviceRow<T>& row, std::uint64_t floor, const MassScale& scale,
                                             ReductionRoom& room) {
  std::uint64_t mass = 0;
  for_each_token(row, floor, [&](float x, std::uint64_t key) { mass += key != 0 ? token_mass(x, scale) : 0; });
  return block_reduce(
      mass, [](std::uint64_t a, std::uint64_t b) { return a + b; }, room);
}

/// Adds to a bin; a warp that agrees on the bin adds once.
static __device__ __forceinline__ void add_to_bin(unsigned long long* bins, int bin, std::uint64_t amount) {
  int agree = 0;
  __match_all_sync(kFullWarp, bin, &agree);
  if (agree != 0) {
    if (bin < 0) return;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) amount += shuffle_xor(amount, distance);
    if (threadIdx.x % 32 == 0) atomicAdd(&bins[bin], amount);
  } else if (bin >= 0 && amount != 0) {
    atomicAdd(&bins[bin], amount);
  }
}

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

static __device__ Crossing find_crossing(const unsigned long long* bins, double need, ReductionRoom& room) {
  const int bin = kBins - 1 - static_cast<int>(threadIdx.x);
  const std::uint64_t own = bins[bin];
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

/// The key at which the sum of `amount(x)` over the tokens in order of preference reaches `need`; `floor` if none does.
/// Keys are taken as 56 bits, 32 of the logit and 24 of the id, seven digits of 8.
template <class T, class Amount>
static __device__ std::uint64_t select_key(const DeviceRow<T>& row, std::uint64_t floor, double need, Amount amount,
                                           unsigned long long* bins, ReductionRoom& room) {
  std::uint64_t prefix = 0;
  for (int shift = 48; shift >= 0; shift -= 8) {
    __syncthreads();
    bins[threadIdx.x] = 0;
    __syncthreads();
    for_each_token(row, floor, [&](float x, std::uint64_t key) {
      const std::uint64_t digits = (key >> 32 << 24) | (key & 0xffffffu);
      const bool counts = key != 0 && (shift == 48 || digits >> (shift + 8) == prefix);
      add_to_bin(bins, counts ? static_cast<int>(digits >> shift & 255u) : -1, counts ? amount(x) : 0);
    });
    __syncthreads();
    const Crossing crossing = find_crossing(bins, need, room);
    if (crossing.bin < 0) return floor;
    need -= static_cast<double>(crossing.above);
    prefix = prefix << 8 | static_cast<std::uint64_t>(crossing.bin);
  }
  return (prefix >> 24 << 32) | 0xff000000u | (prefix & 0xffffffu);
}

/// What a row is cut by.
struct SelectRule {
  const SamplingParams& sampling;
  bool by_count;
  bool by_mass;
  double total;    // of the row, where it is cut by mass alone
  double nearest;  // how far below the maximum min-p reaches
  MassScale scale;
};

/// The lowest key that is kept.
template <class T>
static __device__ __noinline__ std::uint64_t select_cut(const DeviceRow<T>& row, const SelectRule& rule,
                                                        unsigned long long* bins, ReductionRoom& room) {
  std::uint64_t cut = 0;
  if (rule.by_count) {
    const auto one = [](float) { return std::uint64_t{1}; };
    cut = select_key(row, 0, static_cast<double>(rule.sampling.top_k), one, bins, room);
  }
  if (rule.by_mass) {
    const double total = rule.by_count ? static_cast<double>(select_total(row, cut, rule.scale, room)) : rule.total;
    // The first token is kept, whatever p is.
    const double need = static_cast<double>(rule.sampling.top_p) * total;
    const auto mass = [&](float x) { return token_mass(x, rule.scale); };
    cut = select_key(row, cut, need > 1.0 ? need : 1.0, mass, bins, room);
  }
  if (rule.sampling.min_p > 0.0f) {
    std::uint64_t lowest = ~std::uint64_t{0};
    for_each_token(row, cut, [&](float x, std::uint64_t key) {
      const bool near = key != 0 && add_rn(widen(x), -widen(rule.scale.max)) >= rule.nearest;
      lowest = near && key < lowest ? key : lowest;
    });
    cut = block_reduce(
        lowest, [](std::uint64_t a, std::uint64_t b) { return a < b ? a : b; }, room);
  }
  return cut;
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
