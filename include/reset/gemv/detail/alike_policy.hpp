/// @file
/// Cuts of calls that follow one like them (GemvAhead::kAlike): by layers of bench_tune_gemv that follow themselves, of
/// K from 1856 on, on an H100 and an H200. Multiprocessors with less shared memory keep their usual cuts.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/kernel_needs.hpp>
#include <reset/gemv/detail/ring_of_bytes.hpp>
#include <reset/gemv/detail/tensor_ring_cut.hpp>
#include <reset/gemv/detail/tensor_ring_of_cut.hpp>
#include <reset/gemv/device_info.hpp>
#include <reset/gemv/footprint.hpp>
#include <reset/gemv/shape.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Whether `percent` or more of a CTA's tiles are in shared memory before the kernel ahead has ended. Where less is,
/// what it gains by its early start is lost to its short ring: the more so where memory is slow.
constexpr bool comes_early(std::int64_t tiles, int stages, int percent) noexcept {
  return tiles * percent <= std::int64_t{stages} * 100;
}

/// Where memory is fast, kTensorRing's where whole decode steps want another one; no CTAs where they do not.
constexpr TensorRingCut fast_memory_alike_cut(int tokens, int units, std::int64_t tiles_of_two) noexcept {
  if (tokens == 1 && units > 20 && units <= 32 && tiles_of_two < 9) return {4, 1, 8, 3};
  if (tokens == 1 && units > 32 && units <= 48) return {4, 1, 8, 2};
  return {0, 0, 0, 0};
}

/// And where it is not.
constexpr TensorRingCut alike_cut(int tokens, int units, std::int64_t tiles_of_two) noexcept {
  const bool few_rows = tiles_of_two < 9;
  if (tokens == 1) {
    if (units > 64 && units <= 72 && few_rows) return {8, 2, 8};
    if (units > 20 && units <= 32 && few_rows) return {4, 1, 8, 3};
    if (units > 10 && units <= 14 && tiles_of_two >= 30) return {2, 1, 8, 3};
  } else if (tokens == 8) {
    if (units > 20 && units <= 32 && few_rows) return {4, 1, 8, 2};
    if (units > 16 && units <= 20 && tiles_of_two < 6) return {4, 3, 8};
    if (units > 16 && units <= 20 && few_rows) return {2, 2, 8};
    if (units > 16 && units <= 20 && tiles_of_two >= 22 && tiles_of_two < 30) return {2, 1, 8, 2};
  } else if (units > 14 && units <= 16 && tiles_of_two >= 22) {
    return {4, 1, 8, 3};
  }
  return {0, 0, 0, 0};
}

/// kTensorRing's: one CTA of eight warps or so a multiprocessor, in half the shared memory.
constexpr GemvPolicy alike_tensor_ring_policy(const GemvPolicy& usual, const DeviceInfo& device,
                                              const GemvShape& shape) noexcept {
  const int units = k_units(shape.cols);
  const bool fast = has_fast_memory(device);
  const bool words = !usual.odd_rows && scale_copies(shape) == ScaleCopies::kWords;
  const TensorRingCall call = {usual.tokens, shape.rows, shape.cols, usual.odd_rows, words};
  if (units <= 20) {
    const int cluster = units <= 10 ? 1 : 2;
    const auto k_warps = static_cast<int>(ceil_div(units, cluster));
    const GemvPolicy half = tensor_ring_of_cut(device, call, {cluster, k_warps < 8 ? 8 / k_warps : 1, 8, 1, false});
    const std::int64_t tiles = most_tiles(shape.rows, resident_clusters(device, cluster));
    if (!half.exclusive && comes_early(tiles, half.stages, fast ? 42 : 80)) return half;
  }
  const std::int64_t tiles_of_two = most_tiles(shape.rows, resident_clusters(device, 2));
  const TensorRingCut cut =
      fast ? fast_memory_alike_cut(usual.tokens, units, tiles_of_two) : alike_cut(usual.tokens, units, tiles_of_two);
  if (cut.ctas == 0) return usual;
  const GemvPolicy policy = tensor_ring_of_cut(device, call, cut);
  return policy.stages > 0 ? policy : usual;
}

/// kRing's of NVFP4 activations: the same, with three groups of warps, or of few warps as many as make eight.
constexpr GemvPolicy alike_ring_policy(const GemvPolicy& usual, const DeviceInfo& device,
                                       const GemvShape& shape) noexcept {
  if (is_dense(shape.activations)) return usual;
  GemvPolicy policy = usual;
  policy.exclusive = false;
  policy.ctas_per_sm = 1;
  const int enough = enough_groups(policy.warps_per_group);
  policy = ring_of_bytes(policy, {shape.activations, shape.cols, shape.scale_layout}, shared_bytes_each(device, 2),
                         enough < 3 ? 3 : enough, 2);
  const std::int64_t tiles = ceil_div(ceil_div(shape.rows, ring_rows(policy.chunks)), device.sm_count);
  const int percent = has_fast_memory(device) ? 60 : 80;
  return policy.stages > 0 && comes_early(tiles, policy.stages, percent) ? policy : usual;
}

/// Of a call whose policy is `usual` otherwise.
constexpr GemvPolicy alike_policy(const GemvPolicy& usual, const DeviceInfo& device, const GemvShape& shape) noexcept {
  if (device.sm_count < 1 || has_little_shared_memory(device)) return usual;  // the first has no policy
  switch (usual.kernel) {
    case GemvKernel::kRing:
      return alike_ring_policy(usual, device, shape);
    case GemvKernel::kTensorRing:
      return alike_tensor_ring_policy(usual, device, shape);
    case GemvKernel::kTensor:
      break;
  }
  return usual;
}

}  // namespace detail
RESET_NAMESPACE_END
