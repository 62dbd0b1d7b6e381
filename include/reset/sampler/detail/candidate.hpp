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

/// A signed integer whose order is that of floats, too, in three instructions; zeros of both signs are 0.
RESET_HOST_DEVICE constexpr std::int32_t signed_order(float x) noexcept {
  const auto bits = static_cast<std::int32_t>(bits_of(x));
  const std::int32_t sign = bits >> 31;
  return ((bits & 0x7fffffff) ^ sign) - sign;
}

/// The number that `signed_order` gave `order`.
RESET_HOST_DEVICE constexpr float number_of_signed(std::int32_t order) noexcept {
  const auto bits = static_cast<std::uint32_t>(order);
  return float_from_bits(order < 0 ? 0x80000000u - bits : bits);
}

/// A place in the order of preference, for those who look at many tokens: fewer instructions than their keys.
struct KeyFloor {
  std::int32_t order;  ///< Of the logit.
  std::int32_t id;     ///< Of the token.

  /// That of a candidate's key; with 0 all finite logits are above.
  RESET_HOST_DEVICE constexpr explicit KeyFloor(std::uint64_t key) noexcept
      : order(signed_order(key == 0 ? float_from_bits(0xff800000u) : candidate_logit(key))), id(candidate_id(key)) {}

  /// Whether a token stands there or above; of a row without NaN and +inf.
  RESET_HOST_DEVICE constexpr bool reached(float x, std::int32_t other) const noexcept {
    return signed_order(x) >= order + (other > id ? 1 : 0);
  }
};

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
