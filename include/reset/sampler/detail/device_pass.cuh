/// @file
/// The one read of a row: statistics of each chunk, and what its tokens can reach at two temperatures.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_memory.hpp>
#include <reset/sampler/detail/device_row.cuh>
#include <reset/sampler/random.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// What a pass finds out beside the entropy.
enum class PassKind : std::uint8_t {
  kEntropy,  ///< Nothing.
  kRace,     ///< Bounds on the scores of the Gumbel race, in bits, relative to the chunk's maximum.
  kMass,     ///< Sums of the weights, relative to the chunk's maximum.
};

/// What a pass needs to know of its row.
struct PassRule {
  RandomKey key;
  float scale_high;  // log2(e) / T of either temperature
  float scale_low;
};

/// Logits this far below their chunk's maximum weigh nothing at T = 1, in nats; the limit keeps -inf out of products.
inline constexpr float kDeepestLogit = -120.0f;

/// The weight of a token `d` nats below its chunk's maximum at a temperature. -inf weighs nothing however high that is,
/// nor does what -inf times a scale of 0 is.
static __device__ __forceinline__ float weight_at(float d, float scale) {
  return fast_exp2(fmaxf(__fmul_rn(d, scale), -150.0f));
}

/// Sums of 8 tokens, two blocks of random numbers: the leaf of the one fixed tree over a chunk.
struct LeafSums {
  float sum;
  float weighted_sum;
  float high;
  float low;
};

static __device__ __forceinline__ LeafSums join_sums(const LeafSums& a, const LeafSums& b, PassKind kind) {
  const bool mass = kind == PassKind::kMass;
  return {__fadd_rn(a.sum, b.sum), __fadd_rn(a.weighted_sum, b.weighted_sum),
          mass ? __fadd_rn(a.high, b.high) : fmaxf(a.high, b.high),
          mass ? __fadd_rn(a.low, b.low) : fmaxf(a.low, b.low)};
}

/// Joins `Count` neighbours in the tree over the chunk.
template <int Count>
static __device__ __forceinline__ LeafSums join_all(const LeafSums* sums, PassKind kind) {
  if constexpr (Count == 1) {
    return sums[0];
  } else {
    return join_sums(join_all<Count / 2>(sums, kind), join_all<Count / 2>(sums + Count / 2, kind), kind);
  }
}

/// One less than what the noise of a word in bits is not above: -log(1 - v) >= v + v^2 / 2 = ((1 + v)^2 - 1) / 2, and
/// 1 + v, rounded down, is a float by its bits.
static __device__ __forceinline__ float noise_bound_less_one(std::uint32_t word) {
  const float above = float_from_bits(0x3f800000u + (word >> 9));
  return -fast_log2(__fmaf_rn(above, above, -1.0f));
}

/// Adds a token at distance d <= 0 from the chunk's maximum.
template <PassKind kKind>
static __device__ __forceinline__ void add_token(LeafSums& sums, float d, std::uint32_t word, const PassRule& rule) {
  const float z = fmaxf(d, kDeepestLogit);
  const float weight = fast_exp2(__fmul_rn(z, kLog2E));
  sums.sum = __fadd_rn(sums.sum, weight);
  sums.weighted_sum = __fmaf_rn(z, weight, sums.weighted_sum);
  if constexpr (kKind == PassKind::kRace) {
    const float noise = noise_bound_less_one(word);
    sums.high = fmaxf(sums.high, __fmaf_rn(d, rule.scale_high, noise));
    sums.low = fmaxf(sums.low, __fmaf_rn(d, rule.scale_low, noise));
  } else if constexpr (kKind == PassKind::kMass) {
    sums.high = __fadd_rn(sums.high, weight_at(d, rule.scale_high));
    sums.low = __fadd_rn(sums.low, weight_at(d, rule.scale_low));
  }
}

/// One chunk as the `kWarps` warps that share it see it: a thread has kBlocks neighbouring blocks of random numbers,
/// that is as many neighbouring tokens in each of the chunk's four quarters.
template <class T, int kWarps>
struct ChunkReader {
  static constexpr int kBlocks = kChunkBlocks / (32 * kWarps);
  static constexpr int kLeaves = kBlocks / 2;
  LogitRun<T, kBlocks> quarter[4];

  __device__ __forceinline__ void load(const DeviceRow<T>& row, int chunk, int lane) {
    const int first = chunk * kChunk + lane * kBlocks;
    if (row.aligned && (chunk + 1) * kChunk <= row.columns) {
#pragma unroll
      for (int q = 0; q < 4; ++q) quarter[q] = load_run<kBlocks>(row, first + q * kChunkBlocks);
    } else {
#pragma unroll
      for (int q = 0; q < 4; ++q) quarter[q] = load_each<kBlocks>(row, first + q * kChunkBlocks);
    }
  }

  __device__ __forceinline__ float max() const {
    float result = float_from_bits(0xff800000u);
#pragma unroll
    for (int q = 0; q < 4; ++q) {
#pragma unroll
      for (int i = 0; i < kBlocks; ++i) result = max_or_nan(result, quarter[q].at(i));
    }
    return result;
  }

  /// Sums over the leaves from `leaf` on that share a batch of random numbers.
  template <PassKind kKind>
  __device__ __forceinline__ LeafSums sums(const PassRule& rule, float chunk_max, int chunk, int lane) const {
    constexpr bool kRace = kKind == PassKind::kRace;
    constexpr float kNothing = kRace ? -1.0f : 0.0f;  // bounds are one less until they are joined
    constexpr int kBatch = kLeaves < 2 ? 1 : 2;       // leaves whose random numbers are drawn side by side
    LeafSums leaves[kLeaves];
#pragma unroll
    for (int first = 0; first < kLeaves; first += kBatch) {
      PhiloxBlock words[2 * kBatch] = {};
      if constexpr (kRace) {
#pragma unroll
        for (int i = 0; i < 2 * kBatch; ++i) {
          const int block = chunk * kChunkBlocks + lane * kBlocks + 2 * first + i;
          words[i] = random_block(rule.key, static_cast<std::uint32_t>(block));
        }
      }
#pragma unroll
      for (int leaf = 0; leaf < kBatch; ++leaf) {
        LeafSums& sums = leaves[first + leaf];
        sums = {0.0f, 0.0f, kNothing, kNothing};
#pragma unroll
        for (int q = 0; q < 4; ++q) {
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            const float x = quarter[q].at(2 * (first + leaf) + i);
            add_token<kKind>(sums, __fadd_rn(x, -chunk_max), words[2 * leaf + i].word[q], rule);
          }
        }
      }
    }
    LeafSums joined = join_all<kLeaves>(leaves, kKind);
    if constexpr (kRace) {
      joined.high += 1.0f;
      joined.low += 1.0f;
    }
    return joined;
  }
};

/// What the warps that share a chunk tell each other.
struct GroupRoom {
  float max[4];
  LeafSums sums[4];
};

/// Waits for the threads that share a chunk.
template <int kWarps>
static __device__ __forceinline__ void group_sync() {
  if constexpr (kWarps == 1) {
    __syncwarp();
  } else {
    asm volatile("bar.sync %0, %1;" ::"r"(1 + static_cast<int>(threadIdx.x) / (32 * kWarps)), "n"(32 * kWarps)
                 : "memory");
  }
}

template <int kWarps>
static __device__ __forceinline__ float group_max(float max, GroupRoom& room) {
  // Every NaN is the canonical one by now, which the order of floats puts above infinity.
  max = number_of(__reduce_max_sync(kFullWarp, order_of(max)));
  if constexpr (kWarps == 1) return max;
  if (threadIdx.x % 32 == 0) room.max[threadIdx.x / 32 % kWarps] = max;
  group_sync<kWarps>();
  max = room.max[0];
#pragma unroll
  for (int i = 1; i < kWarps; ++i) max = max_or_nan(max, room.max[i]);
  return max;
}

template <int kWarps, PassKind kKind>
static __device__ __forceinline__ LeafSums group_sums(LeafSums sums, GroupRoom& room) {
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    sums.sum = __fadd_rn(sums.sum, shuffle_xor(sums.sum, distance));
    sums.weighted_sum = __fadd_rn(sums.weighted_sum, shuffle_xor(sums.weighted_sum, distance));
    if constexpr (kKind == PassKind::kMass) {
      sums.high = __fadd_rn(sums.high, shuffle_xor(sums.high, distance));
      sums.low = __fadd_rn(sums.low, shuffle_xor(sums.low, distance));
    }
  }
  if constexpr (kKind == PassKind::kRace) {
    // Bounds are not negative by their first value: their order is that of their bits.
    sums.high = float_from_bits(__reduce_max_sync(kFullWarp, bits_of(sums.high)));
    sums.low = float_from_bits(__reduce_max_sync(kFullWarp, bits_of(sums.low)));
  }
  if constexpr (kWarps == 1) return sums;
  if (threadIdx.x % 32 == 0) room.sums[threadIdx.x / 32 % kWarps] = sums;
  group_sync<kWarps>();
  return join_all<kWarps>(room.sums, kKind);
}

/// One chunk that is already in registers.
template <class T, int kWarps, PassKind kKind>
static __device__ __forceinline__ void pass_chunk(const ChunkReader<T, kWarps>& reader, const PassRule& rule, int chunk,
                                                  int lane, ChunkFacts* facts, GroupRoom& room) {
  const float max = group_max<kWarps>(reader.max(), room);
  const LeafSums sums = group_sums<kWarps, kKind>(reader.template sums<kKind>(rule, max, chunk, lane), room);
  if (lane == 0) {
    *reinterpret_cast<float4*>(&facts[chunk]) = make_float4(max, sums.sum, sums.weighted_sum, sums.high);
    facts[chunk].low = sums.low;
  }
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
