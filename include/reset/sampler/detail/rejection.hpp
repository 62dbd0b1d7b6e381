/// @file
/// Rejection of drafted tokens, of one of them: whether it is kept, and what takes its place. One definition for host
/// and device.
#pragma once

#include <cstdint>

#include <reset/detail/rounding.hpp>
#include <reset/sampler/detail/instruction_set.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_INSTRUCTION_SET {

/// x where it is above 0, otherwise 0, NaN included.
RESET_HOST_DEVICE inline float above_zero(float x) noexcept {
#if defined(__CUDA_ARCH__)
  return fmaxf(x, 0.0f);  // one instruction, which gives the number whatever the flags
#else
  return bits_of(x) > kFloatInfinity ? 0.0f : x;
#endif
}
RESET_HOST_DEVICE inline double above_zero(double x) noexcept { return bits_of(x) > kDoubleInfinity ? 0.0 : x; }

/// What a target's probability p leaves above the draft's, q: a q that is negative or NaN counts as 0.
template <class Real>
RESET_HOST_DEVICE inline Real left_above(Real p, float q) noexcept {
  return above_zero(p - static_cast<Real>(above_zero(q)));
}

/// Whether a drafted token is kept, with probability min(1, p / q); `uniform` is its random number. A negative q counts
/// as 0; a token whose q is NaN is never kept.
RESET_HOST_DEVICE inline bool keeps_draft(double uniform, double p, float q) noexcept {
  return !is_nan(q) && mul_rn(uniform, widen(above_zero(q))) < p;
}

}  // namespace RESET_INSTRUCTION_SET
}  // namespace detail
RESET_NAMESPACE_END
