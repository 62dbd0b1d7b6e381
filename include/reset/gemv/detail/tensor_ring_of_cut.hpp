/// @file
/// From a cut of kTensorRing to its policy: as many stages as shared memory has room for.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/tensor_ring_cut.hpp>
#include <reset/gemv/device_info.hpp>
#include <reset/gemv/footprint.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// What of a call a cut is applied to.
struct TensorRingCall {
  int tokens;  ///< That the kernel is compiled for.
  std::int64_t rows;
  std::int64_t cols;
  bool odd_rows;
  bool words;  ///< Block scales come in runs of four.
};

/// Whether the registers of two CTAs of kTensorRing fit a multiprocessor, whose four schedulers have a quarter of them
/// each.
constexpr bool two_fit_registers(const GemvPolicy& policy, bool words) noexcept {
  const int warps = kMultiprocessorRegisters / (32 * tensor_ring_most_registers(policy.tokens)) / 4 * 4;
  return 2 * cta_threads(policy, words) <= 32 * warps;
}

/// The policy of kTensorRing for a call and a cut; `stages` is 0 where nothing fits the device.
constexpr GemvPolicy tensor_ring_of_cut(const DeviceInfo& device, const TensorRingCall& call,
                                        const TensorRingCut& cut) noexcept {
  GemvPolicy policy{};
  policy.kernel = GemvKernel::kTensorRing;
  policy.odd_rows = call.odd_rows;
  policy.tokens = call.tokens;
  policy.stages = 0;
  const int units = k_units(call.cols);
  if (units < 1 || units > tensor_ring_max_k_units(policy.tokens) || resident_clusters(device, 2) == 0) return policy;
  policy.cluster = policy.slices = cut.cluster;
  policy.k_warps = static_cast<int>(ceil_div(units, cut.cluster));
  policy.row_groups = cut.row_groups;
  const std::int64_t clusters = resident_clusters(device, cut.cluster);
  if (clusters == 0) return policy;
  if (cut.ctas > 1) {
    policy.ctas_per_sm = cut.ctas;
    policy.stages = most_stages(policy, most_tiles(call.rows, clusters * cut.ctas),
                                shared_bytes_each(device, cut.ctas) / 8 * cut.eighths);
    if (policy.stages >= 3 && !call.words) return policy;
    policy.ctas_per_sm = 1;  // as many warps in one CTA
    policy.row_groups = cut.ctas;
  }
  const std::int64_t tiles = most_tiles(call.rows, clusters);
  if (!cut.exclusive) {
    policy.exclusive = false;
    policy.stages = most_stages(policy, tiles, shared_bytes_each(device, 2) / 8 * cut.eighths);
    if (policy.stages >= 3 && two_fit_registers(policy, call.words)) return policy;
    policy.exclusive = true;
  }
  if (cut.ctas == 1 && cut.eighths < 8) {
    const int enough = cut.row_groups > 1 ? 2 * cut.row_groups : policy.tokens <= 8 ? 3 : 2;
    policy.stages = most_stages(policy, tiles, device.shared_bytes / 8 * cut.eighths - 1024);
    if (policy.stages >= enough) return policy;
  }
  for (; policy.row_groups > 0; --policy.row_groups) {
    policy.stages = most_stages(policy, tiles, device.shared_bytes);
    if (policy.stages >= 2 * policy.row_groups || policy.row_groups == 1) break;
  }
  return policy;
}

}  // namespace detail
RESET_NAMESPACE_END
