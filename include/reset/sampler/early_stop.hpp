/// @file
/// When a request may as well end: a hook on the entropy of reasoning steps, off by default. It raises a flag and does
/// nothing else; what becomes of the request is the engine's decision.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/sampler/boundary/detector.hpp>
#include <reset/sampler/policy.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// Two rules, each on where its first member is not 0. A step is what lies between two boundaries while the detector
/// says active; the answer is what comes once it says so no more, as behind `</think>`.
struct EarlyStopParams {
  std::int32_t patience = 0;  ///< So many finished steps in a row without progress raise the flag.
  float progress = 0.05f;     ///< By how much, in nats, a step's mean entropy must fall below that of every step before
                              ///< to be progress.
  float answer_level = 0.0f;  ///< A mean entropy of the answer below this, in nats, raises the flag,
  std::int32_t answer_tokens = 32;  ///< after at least so many of its tokens.

  /// Names the first field that is outside its domain.
  RESET_HOST_DEVICE constexpr Status validate() const noexcept {
    constexpr StatusCode kInvalid = StatusCode::kInvalidArgument;
    if (patience < 0) return {kInvalid, "early_stop.patience", patience, "at least 0"};
    if (!detail::is_finite(progress) || progress < 0.0f) {
      return {kInvalid, "early_stop.progress", static_cast<double>(progress), "finite and at least 0"};
    }
    if (!detail::is_finite(answer_level) || answer_level < 0.0f) {
      return {kInvalid, "early_stop.answer_level", static_cast<double>(answer_level), "finite and at least 0"};
    }
    if (answer_tokens < 1) return {kInvalid, "early_stop.answer_tokens", answer_tokens, "at least 1"};
    return {};
  }
};

/// What the rules remember of one request: trivially copyable.
struct EarlyStopState {
  double sum = 0.0;        ///< Entropies of the present step, or of the answer.
  std::int64_t count = 0;  ///< How many.
  double lowest = 0.0;     ///< The lowest mean of a finished step.
  std::int32_t steps = 0;  ///< Finished steps, at most 2^31-1.
  std::int32_t stale = 0;  ///< Of these, the latest without progress.
  bool reasoned = false;   ///< Whether a token was active.
  bool answering = false;  ///< Whether the present tokens are the answer.
  bool stop = false;       ///< The flag; it stays up.

  /// Names the first field that no request can have.
  RESET_HOST_DEVICE constexpr Status validate() const noexcept {
    constexpr StatusCode kInvalid = StatusCode::kInvalidArgument;
    if (count < 0) return {kInvalid, "early_stop.count", count, "at least 0"};
    if (steps < 0) return {kInvalid, "early_stop.steps", steps, "at least 0"};
    if (stale < 0 || stale > steps) return {kInvalid, "early_stop.stale", stale, "0..steps"};
    const auto bad = [](double x) { return !detail::is_finite(x) || x < 0.0; };
    if (bad(sum)) return {kInvalid, "early_stop.sum", sum, "finite and at least 0"};
    if (bad(lowest)) return {kInvalid, "early_stop.lowest", lowest, "finite and at least 0"};
    return {};
  }
};

namespace detail {

RESET_HOST_DEVICE inline void finish_stop_step(const EarlyStopParams& params, EarlyStopState& state) noexcept {
  if (state.count == 0) return;
  const double mean = div_rn(state.sum, static_cast<double>(state.count));
  state.sum = 0.0;
  state.count = 0;
  const bool progress = state.steps == 0 || mean < add_rn(state.lowest, -static_cast<double>(params.progress));
  if (state.steps == 0 || mean < state.lowest) state.lowest = mean;
  if (state.steps < 0x7fffffff) ++state.steps;
  state.stale = progress ? 0 : state.stale < state.steps ? state.stale + 1 : state.stale;
  state.stop = state.stop || (params.patience > 0 && state.stale >= params.patience);
}

/// One committed token: its entropy, and what the detector had said when it was sampled. An entropy that is not finite
/// is left out.
RESET_HOST_DEVICE inline void follow_stop(const EarlyStopParams& params, EarlyStopState& state, StepMark mark,
                                          float entropy) noexcept {
  if (params.patience == 0 && params.answer_level == 0.0f) return;
  const bool answering = !mark.active && state.reasoned;
  if (answering != state.answering || (mark.active && mark.boundary)) {
    if (!state.answering) finish_stop_step(params, state);
    state.answering = answering;
    state.sum = 0.0;
    state.count = 0;
  }
  state.reasoned = state.reasoned || mark.active;
  if (!state.reasoned || !is_finite(entropy)) return;
  state.sum = add_rn(state.sum, static_cast<double>(entropy));
  ++state.count;
  if (!state.answering || state.count < params.answer_tokens) return;
  const double level = static_cast<double>(params.answer_level);
  state.stop = state.stop || div_rn(state.sum, static_cast<double>(state.count)) < level;
}

}  // namespace detail
RESET_NAMESPACE_END
