/// @file
/// The one read of a row: statistics of each chunk, and its mass at two temperatures.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_facts.cuh>
#include <reset/sampler/detail/device_memory.hpp>
#include <reset/sampler/detail/device_row.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// What a pass finds out beside the entropy.
enum class PassKind : std::uint8_t {
  kEntropy,  ///< Nothing: what temperature is expected, is 1 or needs no masses.
  kMass,     ///< The masses at one more temperature, below 1.
  kMasses,   ///< The masses at two more, or at one above 1.
};

/// What a pass needs to know of its row: log2(e) / T of the two temperatures.
struct PassRule {
  float scale_high;
  float scale_low;
};

/// Logits this far below their chunk's maximum weigh nothing at T = 1 or below, in nats; the limit keeps -inf out of
/// products.
inline constexpr float kDeepestLogit = -120.0f;

/// The weight of a token `d` nats below its chunk's maximum at a temperature. -inf weighs nothing however high that is,
/// nor does what -inf times a scale of 0 is.
static __device__ __forceinline__ float weight_at(float d, float scale) {
  return fast_exp2(fmaxf(__fmul_rn(d, scale), -150.0f));
}

/// Sums of 8 tokens: the leaf of the one fixed tree over a chunk. kMass has one mass, in `high`.
struct LeafSums {
  float sum;
  float weighted_sum;
  float high;
  float low;
};

static __device__ __forceinline__ LeafSums join_sums(const LeafSums& a, const LeafSums& b) {
  return {__fadd_rn(a.sum, b.sum), __fadd_rn(a.weighted_sum, b.weighted_sum), __fadd_rn(a.high, b.high),
          __fadd_rn(a.low, b.low)};
}

/// Joins `Count` neighbours in the tree over the chunk.
template <int Count>
static __device__ __forceinline__ LeafSums join_all(const LeafSums* sums) {
  if constexpr (Count == 1) {
    return sums[0];
  } else {
    return join_sums(join_all<Count / 2>(sums), join_all<Count / 2>(sums + Count / 2));
  }
}

/// Adds a token at distance d <= 0 from the chunk's maximum.
template <PassKind kKind>
static __device__ __forceinline__ void add_token(LeafSums& sums, float d, const PassRule& rule) {
  const float z = fmaxf(d, kDeepestLogit);
  const float weight = fast_exp2(__fmul_rn(z, kLog2EFloat));
  sums.sum = __fadd_rn(sums.sum, weight);
  sums.weighted_sum = __fmaf_rn(z, weight, sums.weighted_sum);
  if constexpr (kKind == PassKind::kMass) {
    sums.high = __fadd_rn(sums.high, fast_exp2(__fmul_rn(z, rule.scale_high)));
  } else if constexpr (kKind == PassKind::kMasses) {
    sums.high = __fadd_rn(sums.high, weight_at(d, rule.scale_high));
    sums.low = __fadd_rn(sums.low, weight_at(d, rule.scale_low));
  }
}

/// One chunk as the `kWarps` warps that share it see it: a thread has kBlocks neighbouring tokens in each of the
/// chunk's four quarters.
template <class T, int kWarps>
struct ChunkReader {
  static constexpr int kBlocks = kChunkBlocks / (32 * kWarps);
  static constexpr int kLeaves = kBlocks / 2;
  LogitRun<T, kBlocks> quarter[4];

  /// Where a thread begins to read.
  static __device__ __forceinline__ const T* place(const DeviceRow<T>& row, int chunk, int lane) {
    return row.data + (chunk * kChunk + lane * kBlocks);
  }

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
    if constexpr (sizeof(T) == 4) {
      float result = quarter[0].at(0);
#pragma unroll
      for (int q = 0; q < 4; ++q) {
#pragma unroll
        for (int i = 0; i < kBlocks; ++i) result = max_or_nan(result, quarter[q].at(i));
      }
      return result;
    } else {
      // Two at a time, before they are taken apart.
      std::uint32_t result = quarter[0].word[0];
#pragma unroll
      for (int q = 0; q < 4; ++q) {
#pragma unroll
        for (int i = 0; i < kBlocks / 2; ++i) result = max_of_halves(result, quarter[q].word[i], T());
      }
      return max_or_nan(logit_of_half(result, false, T()), logit_of_half(result, true, T()));
    }
  }

  template <PassKind kKind>
  __device__ __forceinline__ LeafSums sums(const PassRule& rule, float chunk_max) const {
    LeafSums leaves[kLeaves];
#pragma unroll
    for (int leaf = 0; leaf < kLeaves; ++leaf) {
      leaves[leaf] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
      for (int q = 0; q < 4; ++q) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          add_token<kKind>(leaves[leaf], __fadd_rn(quarter[q].at(2 * leaf + i), -chunk_max), rule);
        }
      }
    }
    return join_all<kLeaves>(leaves);
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

/// Meets as often as for a chunk.
template <int kWarps>
static __device__ __forceinline__ void pass_no_chunk() {
  group_sync<kWarps>();
  group_sync<kWarps>();
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
    if constexpr (kKind != PassKind::kEntropy) sums.high = __fadd_rn(sums.high, shuffle_xor(sums.high, distance));
    if constexpr (kKind == PassKind::kMasses) sums.low = __fadd_rn(sums.low, shuffle_xor(sums.low, distance));
  }
  if constexpr (kWarps == 1) return sums;
  if (threadIdx.x % 32 == 0) room.sums[threadIdx.x / 32 % kWarps] = sums;
  group_sync<kWarps>();
  return join_all<kWarps>(room.sums);
}

/// The masses at the two temperatures from what a pass has summed.
template <PassKind kKind>
static __device__ __forceinline__ float2 masses_of(const LeafSums& sums, const PassRule& rule) {
  if constexpr (kKind == PassKind::kMasses) return {sums.high, sums.low};
  const float other = kKind == PassKind::kMass ? sums.high : sums.sum;
  return {rule.scale_high == kLog2EFloat ? sums.sum : other, rule.scale_low == kLog2EFloat ? sums.sum : other};
}

/// One chunk that is already in registers.
template <class T, int kWarps, PassKind kKind>
static __device__ __forceinline__ void pass_chunk(const ChunkReader<T, kWarps>& reader, const PassRule& rule, int chunk,
                                                  int lane, ChunkFacts* facts, std::uint32_t call, GroupRoom& room) {
  const float max = group_max<kWarps>(reader.max(), room);
  PassRule other = rule;
  // The one temperature that is neither 1 nor 0.
  const bool is_low = rule.scale_high == kLog2EFloat || rule.scale_high == 0.0f;
  if (kKind == PassKind::kMass && is_low) other.scale_high = rule.scale_low;
  const LeafSums sums = group_sums<kWarps, kKind>(reader.template sums<kKind>(other, max), room);
  if (lane == 0) {
    const float2 masses = masses_of<kKind>(sums, rule);
    store_half(&facts[chunk].sums, {max, call, sums.sum, sums.weighted_sum});
    store_half(&facts[chunk].masses, {max, call, masses.x, masses.y});
  }
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
