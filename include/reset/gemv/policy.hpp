/// @file
/// How a mat-vec call is cut into work, and the choice of it.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/problem.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// Which kernel serves a call.
enum class GemvKernel : std::uint8_t {
  kGeneral,  ///< general.cuh: every call that `validate` accepts, on every target.
  kRing,     ///< cuda_core.cuh: NVFP4 activations, 1 or 2 tokens, K a multiple of 256, aligned rows; sm_90 and later.
};

/// What the engine knows of a device: `gemv_prepare` fills it, once a device, and every launch takes it.
struct DeviceInfo {
  int device = 0;        ///< The ordinal.
  int arch = 0;          ///< The target that the kernels run as were compiled for, ten times its version: 90 for sm_90.
  int sm_count = 0;      ///< Multiprocessors.
  int shared_bytes = 0;  ///< Shared memory that one CTA can have.
};

/// The cut of a call. `select_gemv_policy` gives a good one; an engine that pins one gets the same bits from every call
/// of the same shape, whatever the other tokens.
struct GemvPolicy {
  GemvKernel kernel = GemvKernel::kGeneral;  ///< Which kernel.
  int tokens = 1;           ///< Tokens that the kernel is compiled for: kGeneral at least M of 1, 2, 4, 8, 16; kRing M.
  int slices = 1;           ///< kGeneral: warps that share a row, 1, 2 or 4.
  int warps_per_group = 1;  ///< kRing: warps that share a stage; each thread has `chunks` times 32 of K.
  int groups = 1;           ///< kRing: groups of warps that take turns at the stages.
  int chunks = 1;           ///< kRing: 1, 2, 3 or 5.
  int stages = 1;           ///< kRing: of the ring in shared memory, a multiple of `groups`, at most 16.
  int ctas_per_sm = 1;      ///< kRing: CTAs for each multiprocessor.
};

namespace detail {

inline constexpr int kGeneralThreads = 128;
inline constexpr int kMaxRingStages = 16;
inline constexpr int kMaxRingGroup = 8;
inline constexpr int kRingSumSlots = 16;
inline constexpr int kRingBarrierBytes = 2 * 8 * (kMaxRingStages + kRingSumSlots);
inline constexpr int kRingMaxTokens = 2;
inline constexpr int kRingChunkK = 32;

/// Rows of a tile. The more tokens, the fewer rows fit the registers.
constexpr int general_rows(ActivationType type, int tokens) noexcept {
  if (type == ActivationType::kNvfp4) return tokens <= 8 ? 4 : 2;
  return tokens <= 4 ? 4 : 2;
}

constexpr int ring_rows(int chunks) noexcept { return chunks == 1 ? 4 : chunks == 2 ? 2 : 1; }

/// Bounds of the kernel's registers: as many threads as a CTA may have, and the CTAs that must fit beside each other
/// (of one launch, or of this one and of the next, whose weights are then on their way before this one ends).
constexpr int ring_max_threads(int chunks) noexcept { return chunks <= 2 ? 576 : 384; }
constexpr int ring_min_ctas(int tokens) noexcept { return tokens == 1 ? 2 : 1; }

constexpr std::int64_t ring_stage_bytes(int chunks, std::int64_t k) noexcept {
  return ring_rows(chunks) * (k / 2 + k / 16);
}

/// Bytes of a ring's shared memory beside its stages: barriers, and the sums of the warps of a group for some tiles.
constexpr std::int64_t ring_fixed_bytes(int tokens, int chunks, int warps_per_group) noexcept {
  return kRingBarrierBytes + 4 * kRingSumSlots * tokens * ring_rows(chunks) * warps_per_group;
}

constexpr int round_up_to_power_of_two(std::int64_t value) noexcept {
  int power = 1;
  while (power < value) power *= 2;
  return power;
}

}  // namespace detail

/// Shared memory that a ring takes, in bytes.
constexpr std::int64_t ring_shared_bytes(const GemvPolicy& policy, std::int64_t k) noexcept {
  return detail::ring_fixed_bytes(policy.tokens, policy.chunks, policy.warps_per_group) +
         policy.stages * detail::ring_stage_bytes(policy.chunks, k);
}

/// Threads of a CTA.
constexpr int cta_threads(const GemvPolicy& policy) noexcept {
  // Beside the warps that compute, one requests the weights and one adds up and stores.
  return policy.kernel == GemvKernel::kGeneral ? detail::kGeneralThreads
                                               : 32 * (policy.warps_per_group * policy.groups + 2);
}

/// The policy of the general kernel for a shape.
constexpr GemvPolicy general_policy(std::int64_t tokens, std::int64_t k) noexcept {
  GemvPolicy policy{};
  policy.tokens = detail::round_up_to_power_of_two(tokens);
  // Half a warp or more should find blocks of 16 in its slice of K.
  policy.slices = k >= 1536 ? 4 : k >= 768 ? 2 : 1;
  return policy;
}

/// The policy of the ring kernel for a shape; `stages` is 0 where it serves none on that target: it wants NVFP4
/// activations, 1 or 2 tokens, K a multiple of 256 and at most 40960, and sm_90 or later. The figures are those that
/// were fastest on an H200.
constexpr GemvPolicy ring_policy(int arch, ActivationType activation, std::int64_t tokens, std::int64_t k) noexcept {
  GemvPolicy policy{};
  policy.kernel = GemvKernel::kRing;
  policy.stages = 0;
  const bool served = arch >= 90 && activation == ActivationType::kNvfp4 && tokens >= 1 &&
                      tokens <= detail::kRingMaxTokens && k > 0 && k % 256 == 0 && k <= 40 * 1024;
  if (!served) return policy;
  const int units = static_cast<int>((k + 1023) / 1024);  // what one warp covers with one chunk a thread
  policy.tokens = static_cast<int>(tokens);
  policy.chunks = units <= 8 ? 1 : units <= 16 ? 2 : units <= 24 ? 3 : 5;
  policy.warps_per_group = (units + policy.chunks - 1) / policy.chunks;
  // Where a thread keeps much of K in registers, two CTAs of fewer warps hide latency better than one; else one CTA and
  // the first ring of the next kernel share the multiprocessor. Consumer GPUs have 100 KB of shared memory there, the
  // others 228.
  policy.ctas_per_sm = policy.chunks > 2 && tokens == 1 ? 2 : 1;
  const std::int64_t shared = (arch >= 120 ? 49 : policy.ctas_per_sm == 2 ? 86 : 110) * std::int64_t{1024};
  const int most_groups = (detail::ring_max_threads(policy.chunks) / 32 - 2) / policy.warps_per_group;
  const std::int64_t fixed = detail::ring_fixed_bytes(policy.tokens, policy.chunks, policy.warps_per_group);
  const auto most_stages = static_cast<int>((shared - fixed) / detail::ring_stage_bytes(policy.chunks, k));
  policy.groups = tokens == 2 && most_groups > 3 ? 3 : most_groups;
  if (policy.groups > most_stages / 2 && most_stages >= 2) policy.groups = most_stages / 2;
  // Two tokens are bound by arithmetic: a deeper ring only keeps the next kernel out.
  policy.stages = most_stages < detail::kMaxRingStages ? most_stages : detail::kMaxRingStages;
  if (tokens == 2 && policy.stages > 2 * policy.groups) policy.stages = 2 * policy.groups;
  policy.stages = policy.stages / policy.groups * policy.groups;
  return policy;
}

/// Whether the memory of a call lies as the ring kernel needs it: linear block scales, rows of weights, of their scales
/// and of the activations aligned to 16 bytes, and with a gate tiles that hold pairs.
inline bool ring_serves(const GemvProblem& problem, const GemvPolicy& policy) noexcept {
  const Nvfp4MatrixView& w = problem.weights;
  const Nvfp4MatrixView& x = problem.activations.nvfp4;
  if (problem.activations.type != ActivationType::kNvfp4 || policy.tokens != problem.tokens) return false;
  if (w.cols % 256 != 0 || w.block_scale.layout != ScaleLayout::kLinear) return false;
  if (problem.gate != GemvGate::kNone && detail::ring_rows(policy.chunks) < 2) return false;
  const auto scales = detail::address(w.block_scale.data + w.block_scale.offset(0, 0));
  const auto strides = w.row_stride | w.block_scale.stride | (problem.tokens > 1 ? x.row_stride : 0);
  return (detail::address(w.packed) | detail::address(x.packed) | scales) % 16 == 0 && strides % 16 == 0;
}

/// The policy that `gemv` takes for a well-formed call on a target (80, 89, 90, 100, 120, ...).
inline GemvPolicy select_gemv_policy(int arch, const GemvProblem& problem) noexcept {
  const GemvPolicy ring = ring_policy(arch, problem.activations.type, problem.tokens, problem.weights.cols);
  if (ring.stages > 0 && ring_serves(problem, ring)) return ring;
  return general_policy(problem.tokens, problem.weights.cols);
}

/// Whether a policy can serve a well-formed call on a device, the offending member named where not.
inline Status validate(const GemvPolicy& policy, const GemvProblem& problem, const DeviceInfo& device) noexcept {
  if (policy.tokens < problem.tokens || policy.tokens > kMaxGemvTokens ||
      policy.tokens != detail::round_up_to_power_of_two(policy.tokens)) {
    return detail::invalid("policy.tokens", policy.tokens, "1, 2, 4, 8 or 16, at least the tokens of the call");
  }
  if (policy.kernel == GemvKernel::kGeneral) {
    const bool slices = policy.slices == 1 || policy.slices == 2 || policy.slices == 4;
    return slices ? Status() : detail::invalid("policy.slices", policy.slices, "1, 2 or 4");
  }
  if (policy.kernel != GemvKernel::kRing) {
    return detail::invalid("policy.kernel", static_cast<int>(policy.kernel), "a GemvKernel");
  }
  if (device.arch < 90) return Status(StatusCode::kUnsupported, "device.arch", device.arch, "90 or more for kRing");
  if (policy.chunks < 1 || policy.chunks == 4 || policy.chunks > 5) {
    return detail::invalid("policy.chunks", policy.chunks, "1, 2, 3 or 5");
  }
  if (policy.tokens > detail::kRingMaxTokens || !ring_serves(problem, policy)) {
    return detail::invalid("policy.kernel", static_cast<int>(policy.kernel), "kGeneral for a call that lies like this");
  }
  const std::int64_t covered = std::int64_t{32} * detail::kRingChunkK * policy.chunks * policy.warps_per_group;
  if (policy.warps_per_group < 1 || policy.warps_per_group > detail::kMaxRingGroup || covered < problem.weights.cols) {
    return detail::invalid("policy.warps_per_group", policy.warps_per_group, "1..8, and 1024 * chunks of K each");
  }
  if (policy.groups < 1 || policy.groups > 16 || cta_threads(policy) > detail::ring_max_threads(policy.chunks)) {
    return detail::invalid("policy.groups", policy.groups, "threads within the kernel's bound");
  }
  if (policy.stages < policy.groups || policy.stages > detail::kMaxRingStages || policy.stages % policy.groups != 0) {
    return detail::invalid("policy.stages", policy.stages, "a multiple of groups, at most 16");
  }
  if (policy.ctas_per_sm < 1 || policy.ctas_per_sm > 16) {
    return detail::invalid("policy.ctas_per_sm", policy.ctas_per_sm, "1..16");
  }
  const std::int64_t shared = ring_shared_bytes(policy, problem.weights.cols);
  if (shared <= device.shared_bytes) return Status();
  return detail::invalid("policy.stages", policy.stages, "a ring that fits the shared memory of a CTA");
}

RESET_NAMESPACE_END
