/// @file
/// The order of preference among the tokens of a row, whether it is cut, and where by min-p: one definition for host
/// and device.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/exact_math.hpp>
#include <reset/sampler/sampler_types.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_INSTRUCTION_SET {

/// A logit and its id as one integer whose order is the order of preference: higher logits first, then lower ids.
/// Zeros of both signs are equal.
RESET_HOST_DEVICE constexpr std::uint64_t candidate_key(float x, std::int32_t id) noexcept {
  return (static_cast<std::uint64_t>(order_of(x)) << 32) | (0xffffffffu - static_cast<std::uint32_t>(id));
}

RESET_HOST_DEVICE constexpr std::int32_t candidate_id(std::uint64_t key) noexcept {
  return static_cast<std::int32_t>(0xffffffffu - static_cast<std::uint32_t>(key));
}

/// The number that `order_of` gave `order`.
RESET_HOST_DEVICE constexpr float number_of(std::uint32_t order) noexcept {
  return float_from_bits(order ^ (order >> 31 != 0 ? 0x80000000u : 0xffffffffu));
}

RESET_HOST_DEVICE constexpr float candidate_logit(std::uint64_t key) noexcept {
  return number_of(static_cast<std::uint32_t>(key >> 32));
}

/// How far below the maximum a logit may lie under min-p: w >= min_p is (x - max) / T >= log(min_p).
RESET_HOST_DEVICE inline double min_p_distance(float min_p, float temperature) noexcept {
  return mul_rn(static_cast<double>(temperature), exact_log(static_cast<double>(min_p)));
}

/// Whether top-k takes any of so many tokens.
RESET_HOST_DEVICE constexpr bool cuts_by_count(const SamplingParams& sampling, std::int32_t columns) noexcept {
  return sampling.top_k > 0 && sampling.top_k < columns;
}

/// Whether a token is drawn from less than the whole row.
RESET_HOST_DEVICE constexpr bool truncates(const SamplingParams& sampling, std::int32_t columns) noexcept {
  return cuts_by_count(sampling, columns) || sampling.top_p < 1.0f || sampling.min_p > 0.0f;
}

}  // namespace RESET_INSTRUCTION_SET
}  // namespace detail
RESET_NAMESPACE_END
