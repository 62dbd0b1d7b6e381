/// @file
/// The choice of how a mat-vec call is cut into work, and what a cut serves; the cut itself is in footprint.hpp.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/alike_policy.hpp>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/kernel_needs.hpp>
#include <reset/gemv/detail/ring_of_bytes.hpp>
#include <reset/gemv/detail/tensor_ring_cut.hpp>
#include <reset/gemv/detail/tensor_ring_of_cut.hpp>
#include <reset/gemv/device_info.hpp>
#include <reset/gemv/footprint.hpp>
#include <reset/gemv/launch_options.hpp>
#include <reset/gemv/problem.hpp>
#include <reset/gemv/shape.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// The policy of kTensor for a shape: as many warps as registers and shared memory allow, with room for some tiles.
constexpr GemvPolicy tensor_policy(const DeviceInfo& device, std::int64_t tokens, std::int64_t k) noexcept {
  GemvPolicy policy{};
  policy.tokens = detail::tensor_tokens(tokens);
  const int units = k < 1 ? 1 : detail::k_units(k);  // a shape that no call may have is refused there
  policy.k_warps = detail::tensor_max_warps(policy.tokens);
  constexpr int kTiles = 16;
  while (policy.k_warps > 1 && tensor_shared_bytes(policy, kTiles) > device.shared_bytes) --policy.k_warps;
  const int most = policy.k_warps;
  policy.slices = static_cast<int>(detail::ceil_div(units, most));
  policy.k_warps = static_cast<int>(detail::ceil_div(units, policy.slices));
  policy.row_groups = most / policy.k_warps;
  return policy;
}

namespace detail {

/// `stages_in_flight` of kTensorRing, if its clusters have `tiles` tiles. More than 8 tokens take so long to come that
/// a ring which holds all tiles is full before they are there: one stage after the other then leaves them the way.
/// Where stages are small, one is too little, and where memory is fast, nobody has looked.
constexpr RingFlight tensor_ring_flight(const GemvPolicy& policy, const DeviceInfo& device, std::int64_t tokens,
                                        std::int64_t tiles) noexcept {
  constexpr std::int64_t kLargeStage = 15 * 1024;
  const std::int64_t stage_bytes = tensor_stage_bytes(policy.k_warps, policy.odd_rows);
  RingFlight flight = stages_in_flight(policy, device, stage_bytes);
  const bool looked_at = device.memory_bandwidth > 0 && !has_fast_memory(device);
  if (looked_at && tokens > 8 && stage_bytes >= kLargeStage && tiles <= policy.stages) flight.first_lap = 1;
  return flight;
}

}  // namespace detail

/// The policy of kTensorRing for a shape, of aligned rows or of odd ones; `stages` is 0 where nothing fits the device.
/// The rules come from sweeps of bench_tune_engine, which times whole decode steps, on an H100 and an H200, but where
/// one says otherwise, from those of bench_tune_gemv: see tune_engine.json and tune_gemv.json in bench/results.
/// `words`: block scales come in runs of four, by warps that leave a multiprocessor no registers for several CTAs.
constexpr GemvPolicy tensor_ring_policy(const DeviceInfo& device, std::int64_t tokens, std::int64_t n, std::int64_t k,
                                        bool odd_rows = false, bool words = false) noexcept {
  const detail::TensorRingCall call = {detail::tensor_tokens(tokens), n, k, odd_rows, words};
  const int units = detail::k_units(k);
  const int pairs = resident_clusters(device, 2);
  if (units < 1 || pairs == 0) return detail::tensor_ring_of_cut(device, call, {1, 1, 8});  // which has no stages then
  const std::int64_t tiles_of_two = detail::most_tiles(n, pairs);
  const bool fast = detail::has_fast_memory(device);
  GemvPolicy policy = detail::tensor_ring_of_cut(device, call,
                                                 fast ? detail::fast_memory_cut(call.tokens, units, tiles_of_two)
                                                      : detail::tensor_ring_cut(call.tokens, units, tiles_of_two));
  // Where sums of many rows leave a cut no stages, or a device lacks its clusters: the smallest that K has warps for.
  for (int cluster = 1; policy.stages == 0 && cluster <= detail::kMaxCluster; cluster *= 2) {
    const std::int64_t k_warps = detail::ceil_div(units, cluster);
    const bool warps_fit =
        k_warps <= detail::kTensorRingMaxUnits && k_warps <= detail::tensor_ring_max_warps(call.tokens);
    if (warps_fit) policy = detail::tensor_ring_of_cut(device, call, {cluster, 1, 8});
  }
  return policy;
}

namespace detail {

/// Shared memory for a CTA of kRing, where it can be had: by layers that follow themselves. Stages of two spread rows
/// have more scales than they need.
constexpr std::int64_t ring_bytes(const DeviceInfo& device, RingOperands operands, int chunks) noexcept {
  if (has_little_shared_memory(device)) return chunks < 3 ? shared_bytes_each(device, 2) : device.shared_bytes;
  const bool more = operands == RingOperands::kDense || (operands == RingOperands::kSpread && chunks > 1);
  return (more ? 106 : 94) * 1024;
}

}  // namespace detail

/// The policy of kRing for a shape; `stages` is 0 where it serves none on that device: it wants one token, K a multiple
/// of 256, NVFP4 activations with K at most 40960, or linear block scales with others and K at most 8192, and sm_90 or
/// later; of swizzled block scales K a multiple of 512, at most 32768. Two CTAs a multiprocessor, where there is shared
/// memory for them, so that one of the next kernel starts when the first of them has ended: by steps and by layers that
/// follow themselves, on an H100 and an H200.
constexpr GemvPolicy ring_policy(const DeviceInfo& device, ActivationType activation, std::int64_t tokens,
                                 std::int64_t k, ScaleLayout scales = ScaleLayout::kLinear) noexcept {
  GemvPolicy policy{};
  policy.kernel = GemvKernel::kRing;
  policy.stages = 0;
  const bool dense = detail::is_dense(activation);
  const bool swizzled = scales == ScaleLayout::kSwizzled128x4;
  const std::int64_t most_k = dense      ? detail::kRingMostDenseK
                              : swizzled ? detail::kRingMostSpreadK
                                         : detail::kRingMostK;
  if (device.arch < 90 || tokens != 1 || k < 1 || k % (swizzled ? 512 : 256) != 0 || k > most_k) return policy;
  if (dense && swizzled) return policy;
  const int units = static_cast<int>((k + 1023) / 1024);  // what one warp covers with one chunk a thread
  policy.tokens = 1;
  policy.chunks = units <= 8 ? 1 : units <= 16 ? 2 : 3;
  policy.warps_per_group = (units + policy.chunks - 1) / policy.chunks;
  const bool little = detail::has_little_shared_memory(device);
  policy.ctas_per_sm = little ? 1 : 2;
  const std::int64_t bytes = detail::ring_bytes(device, detail::ring_operands(activation, scales), policy.chunks);
  // Two groups, or about eight warps, suffice, and leave registers for CTAs of the next kernel.
  const int groups = dense ? detail::kMaxRingStages : detail::enough_groups(policy.warps_per_group);
  const int each = policy.chunks <= 2 && !little ? 3 : 2;  // stages of a group, where there are so many
  return detail::ring_of_bytes(policy, {activation, k, scales}, bytes, groups, each);
}

namespace detail {

/// Whether kRing is the faster where it serves a call. By layers of bench_tune_gemv that follow themselves, on an H100:
/// of NVFP4 activations it is, but with a gate, whose rows are far apart and come by smaller copies; of others where
/// rows are many, with a gate only if K leaves no room for as many. Where memory is faster, or shared memory little,
/// nobody has looked at the others.
constexpr bool prefers_ring(const DeviceInfo& device, const GemvShape& shape) noexcept {
  const bool gated = shape.gate != GemvGate::kNone;
  if (!is_dense(shape.activations)) return !gated;
  const bool looked_at = !has_fast_memory(device) && !has_little_shared_memory(device);
  return looked_at && shape.rows >= 16384 && shape.cols >= (gated ? 4097 : 4096);
}

}  // namespace detail

/// The policy that `gemv` takes for a well-formed call of that shape on a device, behind whatever kernel. Of a shape
/// and a device that are known at compile time it is a constant, and so is whether it can serve them (`validate`).
constexpr GemvPolicy select_gemv_policy(const DeviceInfo& device, const GemvShape& shape) noexcept {
  const GemvPolicy ring = ring_policy(device, shape.activations, shape.tokens, shape.cols, shape.scale_layout);
  const bool ring_serves = ring.stages > 0 && detail::ring_serves(shape, ring.chunks).ok();
  if (ring_serves && detail::prefers_ring(device, shape)) return ring;
  const bool boxes = detail::boxes_serve(shape).ok();
  if (device.arch >= 90 && (boxes || detail::odd_rows_serve(shape).ok())) {
    const bool words = boxes && detail::scale_copies(shape) == detail::ScaleCopies::kWords;
    const GemvPolicy policy = tensor_ring_policy(device, shape.tokens, shape.rows, shape.cols, !boxes, words);
    if (policy.stages > 0) return policy;
  }
  return ring_serves && !detail::is_dense(shape.activations) ? ring : tensor_policy(device, shape.tokens, shape.cols);
}

/// The same behind a kernel of which something is known.
constexpr GemvPolicy select_gemv_policy(const DeviceInfo& device, const GemvShape& shape, GemvAhead ahead) noexcept {
  const GemvPolicy usual = select_gemv_policy(device, shape);
  return ahead == GemvAhead::kAlike ? detail::alike_policy(usual, device, shape) : usual;
}

/// The policy that `gemv` takes for a well-formed call on a device. It reads of the call what `shape_of` reads.
inline GemvPolicy select_gemv_policy(const DeviceInfo& device, const GemvProblem& problem,
                                     GemvAhead ahead = GemvAhead::kAny) noexcept {
  return select_gemv_policy(device, shape_of(problem), ahead);
}

namespace detail {

/// Ok if kTensorRing serves a call with a policy's kind of rows, and the policy has a cut.
constexpr Status tensor_ring_serves(const GemvPolicy& policy, const GemvShape& shape) noexcept {
  const Status served = policy.odd_rows ? odd_rows_serve(shape) : boxes_serve(shape);
  if (!served.ok()) return served;
  if (k_units(shape.cols) > tensor_ring_max_k_units(policy.tokens)) {
    return invalid("weights.cols", shape.cols,
                   policy.tokens <= 8 ? "at most 32768 for kTensorRing"
                                      : "at most 30720 for kTensorRing and a policy of more than 8 tokens");
  }
  if (policy.stages > 0) return Status();
  return invalid("policy.stages", policy.stages,
                 "1 or more: it has none where no cut fits K and the device's clusters and shared memory");
}

constexpr Status validate_tensor_ring(const GemvPolicy& policy) noexcept {
  const int cluster = policy.cluster;
  if (cluster != 1 && cluster != 2 && cluster != 4 && cluster != 8) {
    return invalid("policy.cluster", cluster, "1, 2, 4 or 8");
  }
  if (policy.slices != policy.cluster) return invalid("policy.slices", policy.slices, "cluster, for kTensorRing");
  // A stage that groups took turns at could be a whole lap behind the group that waits for it.
  if (policy.stages < policy.row_groups || policy.stages > kMaxRingStages || policy.stages % policy.row_groups != 0) {
    return invalid("policy.stages", policy.stages, "a multiple of row_groups, at most 16");
  }
  return Status();
}

constexpr Status validate_tensor(const GemvPolicy& policy, const GemvShape& shape, const DeviceInfo& device) noexcept {
  const bool ring = policy.kernel == GemvKernel::kTensorRing;
  if (ring && device.arch < 90) {
    return Status(StatusCode::kUnsupported, "device.arch", device.arch, "90 or more for kTensorRing");
  }
  const bool compiled = policy.tokens == 1 || policy.tokens == 8 || policy.tokens == 16;
  if (!compiled || policy.tokens < shape.tokens) {
    return invalid("policy.tokens", policy.tokens, "1, 8 or 16, and at least the tokens of the call");
  }
  const Status served = ring ? tensor_ring_serves(policy, shape) : Status();
  if (!served.ok()) return served;
  const int most = ring ? tensor_ring_max_warps(policy.tokens) : tensor_max_warps(policy.tokens);
  if (policy.k_warps < 1 || policy.k_warps > most || (ring && policy.k_warps > kTensorRingMaxUnits)) {
    return invalid("policy.k_warps", policy.k_warps,
                   "1..8, or 1..12 for one token, for kTensor; 1..16, or 1..15 for 16 tokens, for kTensorRing");
  }
  if (policy.row_groups < 1 || policy.row_groups > most / policy.k_warps) {
    return invalid("policy.row_groups", policy.row_groups, "1 or more, and k_warps * row_groups within the bound too");
  }
  const int units = k_units(shape.cols);
  if (policy.slices < 1 || policy.slices > units || ceil_div(units, policy.slices) > policy.k_warps) {
    return invalid("policy.slices", policy.slices,
                   "at most K / 256, rounded up, and so many that each has at most 256 * k_warps of K");
  }
  if (policy.kernel == GemvKernel::kTensorRing) {
    const Status status = validate_tensor_ring(policy);
    if (!status.ok()) return status;
  } else if (policy.cluster != 1) {
    return invalid("policy.cluster", policy.cluster, "1 for kTensor");
  }
  if (resident_clusters(device, policy.cluster) < 1) {
    return invalid("policy.cluster", policy.cluster, "clusters that the device runs");
  }
  if (tensor_clusters(policy, shape, device) > 0) return Status();
  if (policy.kernel == GemvKernel::kTensorRing) {
    return invalid("policy.stages", policy.stages, "a ring that fits the shared memory of a CTA");
  }
  return invalid("policy.row_groups", policy.row_groups, "warps whose rings fit the shared memory of a CTA");
}

}  // namespace detail

/// Whether a policy can serve a call of that shape, if it is otherwise well-formed (see `validate` of a problem), on a
/// device that gemv_prepare has described; where not, the offending member of the policy, of the call or of the device
/// is named.
constexpr Status validate(const GemvPolicy& policy, const GemvShape& shape, const DeviceInfo& device) noexcept {
  const Status sizes = validate(shape);
  if (!sizes.ok()) return sizes;
  if (device.sm_count < 1) {
    return detail::invalid("device.sm_count", device.sm_count, "1 or more, as gemv_prepare finds it");
  }
  if (policy.ctas_per_sm < 1 || policy.ctas_per_sm > 16) {
    return detail::invalid("policy.ctas_per_sm", policy.ctas_per_sm, "1..16");
  }
  if (policy.kernel == GemvKernel::kTensor || policy.kernel == GemvKernel::kTensorRing) {
    return detail::validate_tensor(policy, shape, device);
  }
  if (policy.kernel != GemvKernel::kRing) {
    return detail::invalid("policy.kernel", static_cast<int>(policy.kernel), "a GemvKernel");
  }
  if (device.arch < 90) return Status(StatusCode::kUnsupported, "device.arch", device.arch, "90 or more for kRing");
  if (policy.chunks < 1 || policy.chunks > 3) {
    return detail::invalid("policy.chunks", policy.chunks, "1, 2 or 3");
  }
  const Status served = detail::ring_serves(shape, policy.chunks);
  if (!served.ok()) return served;
  if (policy.tokens != 1) return detail::invalid("policy.tokens", policy.tokens, "1 for kRing");
  const std::int64_t covered = std::int64_t{32} * detail::kRingChunkK * policy.chunks * policy.warps_per_group;
  if (policy.warps_per_group < 1 || policy.warps_per_group > detail::ring_max_group(policy.chunks) ||
      covered < shape.cols) {
    return detail::invalid("policy.warps_per_group", policy.warps_per_group,
                           "1..8, or 1..14 of 3 chunks, which together cover K, each 1024 * chunks");
  }
  const int most_threads = detail::ring_max_threads(policy.chunks, detail::is_dense(shape.activations));
  if (policy.groups < 1 || policy.groups > 16 || cta_threads(policy) > most_threads) {
    return detail::invalid("policy.groups", policy.groups, "threads within the kernel's bound");
  }
  if (policy.stages < policy.groups || policy.stages > detail::kMaxRingStages || policy.stages % policy.groups != 0) {
    return detail::invalid("policy.stages", policy.stages, "a multiple of groups, at most 16");
  }
  const std::int64_t shared = ring_shared_bytes(policy, shape.activations, shape.cols, shape.scale_layout);
  if (shared <= device.shared_bytes) return Status();
  return detail::invalid("policy.stages", policy.stages, "a ring that fits the shared memory of a CTA");
}

/// The same of a call, which is well-formed.
inline Status validate(const GemvPolicy& policy, const GemvProblem& problem, const DeviceInfo& device) noexcept {
  return validate(policy, shape_of(problem), device);
}

RESET_NAMESPACE_END
