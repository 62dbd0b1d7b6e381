/// @file
/// How kRing fills its shared memory: with stages, and groups of warps that take turns at them.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/footprint.hpp>
#include <reset/gemv/problem.hpp>
#include <reset/nvfp4/layout.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// What kRing multiplies, for K of it.
struct RingCall {
  ActivationType activation;
  std::int64_t k;
  ScaleLayout scales;
};

/// Groups of so many warps that make about eight of them; of four and more warps two.
constexpr int enough_groups(int warps) noexcept { return warps < 4 ? (7 + warps) / warps : 2; }

/// `policy`, whose chunks and warps are chosen, with as many stages as `bytes` have room for and up to `groups` groups:
/// no more than the kernel's threads allow, or than have `each` stages. No stages where there is no room for one.
constexpr GemvPolicy ring_of_bytes(GemvPolicy policy, const RingCall& call, std::int64_t bytes, int groups,
                                   int each) noexcept {
  policy.stages = 0;
  const RingOperands operands = ring_operands(call.activation, call.scales);
  const std::int64_t room = bytes - ring_shared_bytes(policy, call.activation, call.k, call.scales);
  const std::int64_t stage = ring_stage_bytes(policy.chunks, operands, call.k);
  if (room < stage) return policy;
  const auto stages = static_cast<int>(room / stage);
  const int most = (ring_max_threads(policy.chunks, is_dense(call.activation)) / 32 - 2) / policy.warps_per_group;
  policy.groups = least(least(groups, most), stages < each ? 1 : stages / each);
  policy.stages = least(stages, kMaxRingStages) / policy.groups * policy.groups;
  return policy;
}

}  // namespace detail
RESET_NAMESPACE_END
