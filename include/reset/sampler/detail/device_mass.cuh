/// @file
/// Weights of tokens as integers, whose sums no order of adding changes, and the distribution that they make.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_block.cuh>
#include <reset/sampler/detail/device_walk.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// How weights become integers.
struct MassScale {
  float max;      // of the row
  float per_nat;  // log2(e) / T
};

/// The weight e^((x - max) / T) in units of 2^-40.
static __device__ __forceinline__ std::uint64_t token_mass(float x, const MassScale& scale) {
  return static_cast<std::uint64_t>(fast_exp2((x - scale.max) * scale.per_nat) * 0x1p40f);
}

/// The mass of the tokens whose key is at least `cut`.
template <class T>
static __device__ __noinline__ std::uint64_t total_mass(const DeviceRow<T> row, std::uint64_t cut,
                                                        const MassScale scale, ReductionRoom& room) {
  const KeyFloor floor(cut);
  std::uint64_t mass = 0;
  for_each_logit(row, 0, row.columns,
                 [&](float x, std::int32_t id) { mass += floor.reached(x, id) ? token_mass(x, scale) : 0; });
  return block_sum(mass, room);
}

/// What makes probabilities of weights whose mass is `total`.
static __device__ __forceinline__ float inverse_of(double total) { return static_cast<float>(0x1p40 / total); }

/// The distribution that a row is drawn from, above kArgmaxTemperature.
struct TargetRule {
  MassScale scale;
  std::uint64_t cut;    // candidate keys below it have no probability
  std::int32_t listed;  // of the others, where truncation has listed them
  float inverse;        // 1 over the sum of the weights that are left

  __device__ __forceinline__ float probability(float x) const {
    return fast_exp2((x - scale.max) * scale.per_nat) * inverse;
  }
  __device__ __forceinline__ float probability(float x, std::int32_t id) const {
    return KeyFloor(cut).reached(x, id) ? probability(x) : 0.0f;
  }
};

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
