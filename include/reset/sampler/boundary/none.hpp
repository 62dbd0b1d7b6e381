/// @file
/// The detector that finds nothing.
#pragma once

#include <reset/sampler/boundary/detector.hpp>

RESET_NAMESPACE_BEGIN

/// No boundary, ever: the whole request is one step, so that the policy is a fixed threshold at tau_0.
class NoDetector {
 public:
  /// Nothing to remember.
  struct State {};

  /// The state of a new request.
  RESET_HOST_DEVICE constexpr State initial_state() const noexcept { return {}; }

  /// Never a boundary.
  RESET_HOST_DEVICE constexpr StepMark observe(State& /*state*/, const TokenEvent& /*event*/) const noexcept {
    return false;
  }
};

static_assert(is_step_detector_v<NoDetector>);

RESET_NAMESPACE_END
