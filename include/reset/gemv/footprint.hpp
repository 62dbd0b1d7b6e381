/// @file
/// How a mat-vec call is cut into work, and what of a multiprocessor such a cut takes.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/device_info.hpp>
#include <reset/gemv/problem.hpp>
#include <reset/gemv/shape.hpp>

RESET_NAMESPACE_BEGIN

/// Which kernel serves a call.
enum class GemvKernel : std::uint8_t {
  kTensor,  ///< tensor_core.cuh: every call that `validate` accepts, on every target.
  /// tensor_ring.cuh: K at most 32768 (30720 for more than 8 tokens); sm_90 and later. Packed rows aligned to 16 bytes,
  /// runs of four block scales to 4, K a multiple of 64; or, with `odd_rows`, packed rows aligned to 8 bytes, linear
  /// block scales anywhere.
  kTensorRing,
  /// cuda_core.cuh: one token, K a multiple of 256, packed rows and rows of linear block scales aligned to 16 bytes;
  /// sm_90 and later. NVFP4 activations with K at most 40960, others, rounded to integers of 16 bits, with K at most
  /// 8192. NVFP4 ones with swizzled block scales, without a gate, for K a multiple of 512 and at most 32768, and whole
  /// tiles of 128 rows from where they begin.
  kRing,
};

/// The cut of a call. Start from `select_gemv_policy`, or from `tensor_policy`, `tensor_ring_policy` or `ring_policy`
/// for a certain kernel, and change that: the defaults below serve K up to 2048. An engine that pins one gets the same
/// bits for a token from every call of the same weights, whatever the other tokens and however many. Kernel, tokens,
/// warps that share rows, and slices or chunks decide the bits; groups, stages, and which device of a target it is, do
/// not.
struct GemvPolicy {
  GemvKernel kernel = GemvKernel::kTensor;  ///< Which kernel.
  int tokens = 8;           ///< Tokens that the kernel is compiled for, at least M: kTensor... 1, 8 or 16, kRing 1.
  int ctas_per_sm = 1;      ///< CTAs for each multiprocessor; of a ring also the most on one, if `exclusive`.
  int k_warps = 8;          ///< kTensor...: warps that share rows, each with 256 of K at a time; at most 16.
  int row_groups = 1;       ///< kTensor...: such sets of warps in a CTA; in kTensor at most 12 warps for one token, 8
                            ///< for more; in kTensorRing 27 for one token, 23 for 8, 15 for 16.
  int cluster = 1;          ///< kTensorRing: CTAs that share rows, each with a slice of K: 1, 2, 4 or 8.
  int slices = 1;           ///< kTensor...: of K, of at most 256 * k_warps each; kTensorRing as many as `cluster`.
  int warps_per_group = 1;  ///< kRing: warps that share a stage; each thread has `chunks` times 32 of K.
  int groups = 1;           ///< kRing: groups of warps that take turns at the stages.
  int chunks = 1;           ///< kRing: 1, 2 or 3.
  int stages = 1;  ///< Rings: stages in shared memory, at most 16, a multiple of the groups that take turns at them.
  bool odd_rows = false;  ///< kTensorRing: rows come one by one, and may begin at odd places.
  bool exclusive = true;  ///< Rings: shared memory keeps all but ctas_per_sm CTAs of a launch off a multiprocessor.
};

/// Shared memory that a CTA of the tensor-core kernel takes, in bytes, if its cluster has `tiles` tiles.
constexpr std::int64_t tensor_shared_bytes(const GemvPolicy& policy, std::int64_t tiles) noexcept {
  const std::int64_t warps = std::int64_t{policy.k_warps} * policy.row_groups;
  const std::int64_t totals =
      detail::ceil_div(tiles, policy.cluster) * policy.cluster * detail::tensor_total_bytes(policy.tokens);
  const std::int64_t sums = warps * detail::tensor_warp_bytes(policy.tokens);
  const std::int64_t fixed = policy.row_groups * detail::kTensorBarrierBytes + totals + sums;
  if (policy.kernel == GemvKernel::kTensor) return fixed + warps * detail::kTensorStages * detail::kTensorStageBytes;
  return fixed + 2 * 8 * (detail::kMaxRingStages + 1) +
         std::int64_t{policy.stages} * detail::tensor_stage_bytes(policy.k_warps, policy.odd_rows);
}

namespace detail {

/// Tiles of the largest share of N rows, with a gate or without.
constexpr std::int64_t most_tiles(std::int64_t n, std::int64_t clusters) noexcept {
  const std::int64_t gated = share_tiles(output_runs(n, true), true, clusters);
  const std::int64_t plain = share_tiles(output_runs(n, false), false, clusters);
  return gated > plain ? gated : plain;
}

/// The most stages, a multiple of the groups, with which a CTA's shared memory stays within `bytes`.
constexpr int most_stages(GemvPolicy policy, std::int64_t tiles, std::int64_t bytes) noexcept {
  policy.stages = kMaxRingStages / policy.row_groups * policy.row_groups;
  while (policy.stages > 0 && tensor_shared_bytes(policy, tiles) > bytes) policy.stages -= policy.row_groups;
  return policy.stages;
}

}  // namespace detail

/// Clusters of the tensor-core kernel's grid: as many as are resident at once, or, where their sums do not fit, a
/// multiple of that; 0 if nothing fits.
constexpr std::int64_t tensor_clusters(const GemvPolicy& policy, const GemvShape& shape,
                                       const DeviceInfo& device) noexcept {
  const bool gated = shape.gate != GemvGate::kNone;
  const std::int64_t runs = detail::output_runs(shape.rows, gated);
  const std::int64_t resident = std::int64_t{resident_clusters(device, policy.cluster)} * policy.ctas_per_sm;
  const std::int64_t fixed = tensor_shared_bytes(policy, 0);
  std::int64_t most = (device.shared_bytes - fixed) / detail::tensor_total_bytes(policy.tokens);
  most -= most % policy.cluster;
  if (device.shared_bytes < fixed || most < 1 || resident < 1) return 0;
  const std::int64_t most_runs = most * detail::tile_outputs(gated) / detail::kOutputRun;
  const std::int64_t waves = detail::ceil_div(detail::ceil_div(runs, most_runs), resident);
  return runs < waves * resident ? runs : waves * resident;
}

namespace detail {

/// What kRing multiplies in a call.
constexpr RingOperands ring_operands(ActivationType activation, ScaleLayout scales) noexcept {
  if (is_dense(activation)) return RingOperands::kDense;
  return scales == ScaleLayout::kSwizzled128x4 ? RingOperands::kSpread : RingOperands::kNvfp4;
}

}  // namespace detail

/// Shared memory that kRing takes for activations of a type and block scales of a layout, in bytes.
constexpr std::int64_t ring_shared_bytes(const GemvPolicy& policy, ActivationType activation, std::int64_t k,
                                         ScaleLayout scales) noexcept {
  const detail::RingOperands operands = detail::ring_operands(activation, scales);
  return detail::ring_fixed_bytes(policy.chunks, policy.warps_per_group) +
         policy.stages * detail::ring_stage_bytes(policy.chunks, operands, k) +
         detail::ring_token_bytes(detail::is_dense(activation), k);
}

/// Threads of a CTA; of kTensorRing more where block scales come in `words`, runs of four.
constexpr int cta_threads(const GemvPolicy& policy, bool words = false) noexcept {
  // Beside the ring's warps that compute, one requests the weights and one adds up and stores.
  if (policy.kernel == GemvKernel::kRing) return 32 * (policy.warps_per_group * policy.groups + 2);
  const int warps = policy.k_warps * policy.row_groups;
  if (policy.kernel == GemvKernel::kTensor) return 32 * warps;
  return 32 * (warps + detail::tensor_ring_producers(policy.tokens, warps, words));
}

namespace detail {

/// Of the stages of a ring's CTA, each of `stage_bytes`, those that memory brings in so many nanoseconds, or one more.
constexpr int stages_within(const GemvPolicy& policy, const DeviceInfo& device, std::int64_t stage_bytes,
                            std::int64_t nanoseconds) noexcept {
  const std::int64_t bytes = nanoseconds * device.memory_bandwidth;
  const std::int64_t enough = ceil_div(bytes, stage_bytes * device.sm_count * policy.ctas_per_sm);
  return enough < policy.stages ? static_cast<int>(enough) : policy.stages;
}

/// Shared memory that a CTA can have if there are so many on a multiprocessor: it has as much more than a CTA can have
/// as it sets aside for each.
constexpr std::int64_t shared_bytes_each(const DeviceInfo& device, int ctas) noexcept {
  constexpr int kSetAside = 1024;
  return (device.shared_bytes + kSetAside) / ctas - kSetAside;
}

/// Whether memory is as fast as `fast_memory_cut` wants it: an H100's brings a multiprocessor 25 GB/s, an H200's 36.
constexpr bool has_fast_memory(const DeviceInfo& device) noexcept {
  return device.memory_bandwidth > 30 * device.sm_count;
}

/// Whether a multiprocessor has no room for two CTAs of kRing and their stages: a consumer GPU's has 100 KB, others'
/// 228.
constexpr bool has_little_shared_memory(const DeviceInfo& device) noexcept {
  return shared_bytes_each(device, 2) < 106 * 1024;
}

}  // namespace detail

/// Of the stages of a ring's CTA, each of `stage_bytes`, those that are on their way at once: what memory brings in 2
/// us, or a little more, which keeps it busy; in 1 us while the ring is filled for the first time. Requests beyond that
/// only queue up in front of memory, and with them whatever is asked for next: the activations, which come while the
/// ring is filled, what is added to the results, what the kernels around need, even where the cache holds it. Of
/// kTensorRing there is an exception, detail::tensor_ring_flight.
constexpr detail::RingFlight stages_in_flight(const GemvPolicy& policy, const DeviceInfo& device,
                                              std::int64_t stage_bytes) noexcept {
  if (device.memory_bandwidth < 1) return {policy.stages, policy.stages};
  return {detail::stages_within(policy, device, stage_bytes, 1000),
          detail::stages_within(policy, device, stage_bytes, 2000)};
}

/// Shared memory, in bytes, that a ring's CTA takes if its stages take `needed`: if `policy.exclusive`, so much that no
/// more than `policy.ctas_per_sm` of a launch fit a multiprocessor. While the kernel ahead ends, some multiprocessors
/// are free before others; CTAs that crowded there would take twice as long as the rest.
constexpr std::int64_t exclusive_shared_bytes(const GemvPolicy& policy, const DeviceInfo& device,
                                              std::int64_t needed) noexcept {
  if (!policy.exclusive) return needed;
  const int ctas = policy.ctas_per_sm + 1;  // one too many
  // Registers may keep it off as well, and then leave shared memory to the next kernel's CTA.
  const int registers =
      policy.kernel == GemvKernel::kTensorRing ? detail::tensor_ring_registers(device.arch, policy.tokens) : 0;
  if (ctas * cta_threads(policy) * registers > detail::kMultiprocessorRegisters) return needed;
  const std::int64_t least = detail::shared_bytes_each(device, ctas) + 1;
  return needed < least ? least : needed;
}

RESET_NAMESPACE_END
