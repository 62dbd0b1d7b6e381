/// @file
/// The detector that cuts the text into steps of equal length.
#pragma once

#include <cstdint>

#include <reset/sampler/boundary/detector.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// A boundary after every n-th generated token: a baseline that knows nothing of the text. Placeholders do not count.
class FixedInterval {
 public:
  /// What is remembered between tokens: 8 bytes.
  struct State {
    std::int64_t tokens;  ///< Tokens since the last boundary, or since the start.
  };

  /// Steps of `tokens` tokens. Throws `Error` if it is less than 1.
  explicit FixedInterval(std::int64_t tokens) : interval_(tokens) { throw_if_failed(validate(tokens)); }

  /// Whether `tokens` can be the length of a step: 1 or more.
  static Status validate(std::int64_t tokens) noexcept {
    if (tokens < 1) return {StatusCode::kInvalidArgument, "tokens", tokens, "1 or more"};
    return {};
  }

  /// The state of a new request.
  RESET_HOST_DEVICE constexpr State initial_state() const noexcept { return {0}; }

  /// Whether this was the last token of an interval.
  RESET_HOST_DEVICE constexpr StepMark observe(State& state, const TokenEvent& event) const noexcept {
    if (event.token < 0) return false;
    if (++state.tokens < interval_) return false;
    state.tokens = 0;
    return true;
  }

 private:
  std::int64_t interval_;
};

static_assert(is_step_detector_v<FixedInterval>);

RESET_NAMESPACE_END
