/// @file
/// Several detectors as one.
#pragma once

#include <cstdint>

#include <reset/sampler/boundary/detector.hpp>

RESET_NAMESPACE_BEGIN

/// A boundary wherever one of the detectors finds one; the policy applies where all of them say so (a detector that
/// does not gate always does). Every detector sees every token, and their states are independent of each other.
///
/// @code
/// const reset::AnyOf detector(newlines.detector(), reset::FixedInterval(512));
/// @endcode
template <class First, class... Rest>
class AnyOf {
  static_assert(require_step_detector<First>());

 public:
  /// The states of all detectors, in order.
  struct State {
    typename First::State first;          ///< Of the first.
    typename AnyOf<Rest...>::State rest;  ///< Of the others.
  };

  /// The composition of these detectors.
  RESET_HOST_DEVICE explicit constexpr AnyOf(First first, Rest... rest) : first_(first), rest_(rest...) {}

  /// The state of a new request.
  RESET_HOST_DEVICE constexpr State initial_state() const { return {first_.initial_state(), rest_.initial_state()}; }

  /// Shows the token to all.
  RESET_HOST_DEVICE constexpr StepMark observe(State& state, const TokenEvent& event) const {
    const StepMark mark = first_.observe(state.first, event);
    const StepMark others = rest_.observe(state.rest, event);
    return {mark.boundary || others.boundary, mark.active && others.active};
  }

  /// Whether all of them want the policy for the first token.
  RESET_HOST_DEVICE constexpr bool initially_active() const {
    return reset::initially_active(first_) && rest_.initially_active();
  }

  /// What the first of them says that does not fit the vocabulary.
  Status fits(std::int32_t vocabulary) const {
    const Status status = detail::detector_fits(first_, vocabulary);
    return status.ok() ? rest_.fits(vocabulary) : status;
  }

 private:
  First first_;
  AnyOf<Rest...> rest_;
};

/// One detector: itself.
template <class Only>
class AnyOf<Only> {
  static_assert(require_step_detector<Only>());

 public:
  /// The state of the detector.
  using State = typename Only::State;

  /// The composition of this detector alone.
  RESET_HOST_DEVICE explicit constexpr AnyOf(Only only) : only_(only) {}

  /// The state of a new request.
  RESET_HOST_DEVICE constexpr State initial_state() const { return only_.initial_state(); }

  /// What the detector says.
  RESET_HOST_DEVICE constexpr StepMark observe(State& state, const TokenEvent& event) const {
    return only_.observe(state, event);
  }

  /// What the detector says.
  RESET_HOST_DEVICE constexpr bool initially_active() const { return reset::initially_active(only_); }

  /// What the detector says.
  Status fits(std::int32_t vocabulary) const { return detail::detector_fits(only_, vocabulary); }

 private:
  Only only_;
};

RESET_NAMESPACE_END
