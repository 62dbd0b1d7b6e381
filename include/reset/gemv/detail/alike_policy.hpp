/// @file
/// Cuts of calls that follow one like them (GemvAhead::kAlike): by layers of bench_tune_gemv that follow themselves, on
/// an H100.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/kernel_needs.hpp>
#include <reset/gemv/device_info.hpp>
#include <reset/gemv/footprint.hpp>
#include <reset/gemv/shape.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Whether a CTA's share is in shared memory, or nearly, before the kernel ahead has ended: four fifths of it or more.
/// With less, what it gains by its early start is lost to its short ring.
constexpr bool comes_early(std::int64_t tiles, int stages) noexcept { return tiles * 4 <= std::int64_t{stages} * 5; }

/// Whether the registers of two CTAs of kTensorRing fit a multiprocessor: each of its four schedulers has a quarter of
/// them, and warps by fours.
constexpr bool two_fit_registers(const GemvPolicy& policy, bool words) noexcept {
  const std::int64_t threads = ceil_div(cta_threads(policy, words), 4 * 32) * (4 * 32);
  return 2 * threads * tensor_ring_most_registers(policy.tokens) <= kMultiprocessorRegisters;
}

/// kTensorRing's: one CTA of eight warps or so a multiprocessor, in half the shared memory; no stages where that does
/// not pay.
constexpr GemvPolicy alike_tensor_ring_policy(GemvPolicy policy, const DeviceInfo& device,
                                              const GemvShape& shape) noexcept {
  const int units = k_units(shape.cols);
  policy.stages = 0;
  policy.exclusive = false;
  policy.ctas_per_sm = 1;
  policy.cluster = policy.slices = units <= 10 ? 1 : 2;
  policy.k_warps = static_cast<int>(ceil_div(units, policy.cluster));
  policy.row_groups = policy.k_warps < 8 ? 8 / policy.k_warps : 1;
  const int clusters = resident_clusters(device, policy.cluster);
  const bool words = !policy.odd_rows && scale_copies(shape) == ScaleCopies::kWords;
  if (units > 20 || clusters == 0 || !two_fit_registers(policy, words)) return policy;
  const std::int64_t tiles = most_tiles(shape.rows, clusters);
  const int stages = most_stages(policy, tiles, shared_bytes_each(device, 2));
  if (comes_early(tiles, stages / policy.row_groups)) policy.stages = stages;
  return policy;
}

/// kRing's of NVFP4 activations: the same, with up to three groups of warps.
constexpr GemvPolicy alike_ring_policy(GemvPolicy policy, const DeviceInfo& device, const GemvShape& shape) noexcept {
  const RingOperands operands = ring_operands(shape.activations, shape.scale_layout);
  policy.stages = 0;
  policy.exclusive = false;
  policy.ctas_per_sm = 1;
  if (is_dense(shape.activations)) return policy;
  const std::int64_t fixed = ring_shared_bytes(policy, shape.activations, shape.cols, shape.scale_layout);
  const std::int64_t room = shared_bytes_each(device, 2) - fixed;
  const std::int64_t fit = room < 0 ? 0 : room / ring_stage_bytes(policy.chunks, operands, shape.cols);
  const int stages = fit < kMaxRingStages ? static_cast<int>(fit) : kMaxRingStages;
  const std::int64_t tiles = ceil_div(ceil_div(shape.rows, ring_rows(policy.chunks)), device.sm_count);
  for (policy.groups = 3; policy.groups > 1; --policy.groups) {
    if (cta_threads(policy) <= ring_max_threads(policy.chunks, false) && stages >= 2 * policy.groups) break;
  }
  if (comes_early(tiles, stages)) policy.stages = stages / policy.groups * policy.groups;
  return policy;
}

/// Of a call whose policy is `usual` otherwise.
constexpr GemvPolicy alike_policy(const GemvPolicy& usual, const DeviceInfo& device, const GemvShape& shape) noexcept {
  if (usual.kernel == GemvKernel::kTensor) return usual;
  const GemvPolicy alike = usual.kernel == GemvKernel::kRing ? alike_ring_policy(usual, device, shape)
                                                             : alike_tensor_ring_policy(usual, device, shape);
  return alike.stages > 0 ? alike : usual;
}

}  // namespace detail
RESET_NAMESPACE_END
