/// @file
/// The policy only between two tokens, such as `<think>` and `</think>`.
#pragma once

#include <cstdint>

#include <reset/sampler/boundary/detector.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// Shows another detector only the text between an opening and a closing token, and switches the policy off outside.
///
/// The opening token is a boundary: what follows is a new step, and the inner detector begins afresh. After the closing
/// token the policy is off until the next opening one. An opening token inside, or a closing one outside, is a token
/// like any other. The inner detector sees neither of the two, and nothing outside.
template <class Inner>
class Gated {
  static_assert(require_step_detector<Inner>());

 public:
  /// What is remembered between tokens.
  struct State {
    typename Inner::State inner;  ///< The state of the inner detector.
    std::uint8_t open;            ///< 1 between the two tokens, else 0.
  };

  /// `inner` between `open_token` and `close_token`. `initially_open` says that the prompt has already opened, as chat
  /// templates do that end with `<think>`. Throws `Error` if an id is negative or both are the same.
  Gated(Inner inner, std::int32_t open_token, std::int32_t close_token, bool initially_open = false)
      : inner_(inner), open_token_(open_token), close_token_(close_token), initially_open_(initially_open) {
    throw_if_failed(validate(open_token, close_token));
  }

  /// Whether the ids can open and close: neither negative (what a look-up of a missing token gives), and not the same.
  static Status validate(std::int32_t open_token, std::int32_t close_token) noexcept {
    if (open_token < 0) return {StatusCode::kInvalidArgument, "open_token", open_token, "a token id, 0 or more"};
    if (close_token < 0) return {StatusCode::kInvalidArgument, "close_token", close_token, "a token id, 0 or more"};
    if (open_token == close_token) {
      return {StatusCode::kInvalidArgument, "close_token", close_token, "an id other than open_token"};
    }
    return {};
  }

  /// The state of a new request.
  RESET_HOST_DEVICE constexpr State initial_state() const {
    return {inner_.initial_state(), static_cast<std::uint8_t>(initially_open_ ? 1 : 0)};
  }

  /// Opens, closes, or asks the inner detector.
  RESET_HOST_DEVICE constexpr StepMark observe(State& state, const TokenEvent& event) const {
    if (state.open == 0) {
      if (event.token != open_token_) return {false, false};
      state = {inner_.initial_state(), 1};
      return {true, reset::initially_active(inner_)};
    }
    if (event.token == close_token_) {
      state.open = 0;
      return {false, false};
    }
    return inner_.observe(state.inner, event);
  }

  /// Whether both tokens are of the vocabulary, without which the policy would never be on, or never off again, and the
  /// inner detector fits.
  Status fits(std::int32_t vocabulary) const {
    Status status = detail::check_token("open_token", open_token_, vocabulary);
    if (status.ok()) status = detail::check_token("close_token", close_token_, vocabulary);
    return status.ok() ? detail::detector_fits(inner_, vocabulary) : status;
  }

  /// Whether the prompt has opened and the inner detector wants the policy for the first token.
  RESET_HOST_DEVICE constexpr bool initially_active() const {
    return initially_open_ && reset::initially_active(inner_);
  }

 private:
  Inner inner_;
  std::int32_t open_token_;
  std::int32_t close_token_;
  bool initially_open_;
};

RESET_NAMESPACE_END
