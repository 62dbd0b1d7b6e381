/// @file
/// The ReSET policy of one request: step-aware threshold, two temperatures. One function for host and device.
///
/// Source: arXiv 2606.13233. Per token, H_t is the entropy in nats of the softmax of the raw logits (temperature 1, no
/// truncation), T_t = T_low if H_t < tau_t and T_high otherwise; the threshold tau_t is tau_0 in a confident step and
/// the step's mean entropy in an uncertain one, whose mean is above that of the request.
#pragma once

#include <cstdint>
#include <type_traits>

#include <reset/detail/rounding.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// Longest sliding window that a state can hold.
inline constexpr int kMaxWindow = 128;

/// Most tokens that a state from outside may have seen, 2^53: up to there a double counts exactly.
inline constexpr std::int64_t kMaxTokenCount = std::int64_t{1} << 53;

/// Temperatures at or below this one mean exact argmax.
inline constexpr float kArgmaxTemperature = 1e-6f;

/// Whether the means that a token is judged by hold its own entropy.
enum class HistoryMode : std::uint8_t {
  kExcludeCurrent,  ///< They hold the tokens before it only: what the authors deploy.
  kIncludeCurrent,  ///< H_t enters them before the comparison: the paper's equation.
};

/// The hyper-parameters of one request. The defaults are neutral figures, not those of a model: see
/// `kPublishedPresets` and `tau0_from_entropies`.
struct ReSETParams {
  float tau0 = 0.55f;        ///< tau_0: entropy threshold of a confident step, in nats, at least 0.
  float t_low = 0.3f;        ///< T_low: temperature of a token below the threshold, at least 0; it may be above t_high.
  float t_high = 1.0f;       ///< T_high: temperature of every other token, at least 0.
  std::int32_t window = 32;  ///< w: entropies in the sliding window that stands in for a young step, 0..kMaxWindow.
  HistoryMode history = HistoryMode::kExcludeCurrent;  ///< Which entropies the means hold.

  /// Names the first field that is outside its domain.
  RESET_HOST_DEVICE constexpr Status validate() const noexcept {
    constexpr StatusCode kInvalid = StatusCode::kInvalidArgument;
    const auto bad = [](float x) { return !detail::is_finite(x) || x < 0.0f; };
    if (bad(tau0)) return {kInvalid, "tau0", static_cast<double>(tau0), "finite and at least 0"};
    if (bad(t_low)) return {kInvalid, "t_low", static_cast<double>(t_low), "finite and at least 0"};
    if (bad(t_high)) return {kInvalid, "t_high", static_cast<double>(t_high), "finite and at least 0"};
    if (window < 0 || window > kMaxWindow) return {kInvalid, "window", window, "0..128"};
    if (history != HistoryMode::kExcludeCurrent && history != HistoryMode::kIncludeCurrent) {
      return {kInvalid, "history", static_cast<int>(history), "0 (kExcludeCurrent) or 1 (kIncludeCurrent)"};
    }
    return {};
  }
};

/// Everything the policy remembers of one request. Trivially copyable and meaningful byte by byte: copy it out at
/// preemption, copy it back at resumption. A default one is that of a new request.
struct ReSETState {
  float ring[kMaxWindow] = {};    ///< The newest entropies: the n-th of the request stands at n modulo kMaxWindow.
  double step_sum = 0.0;          ///< Sum of the entropies of the current step, in order of arrival.
  double global_sum = 0.0;        ///< Sum of all entropies of the request, in order of arrival.
  std::int64_t step_count = 0;    ///< Entropies in `step_sum`.
  std::int64_t global_count = 0;  ///< Entropies in `global_sum`.
  std::int64_t cleared = 0;  ///< How often a boundary has cleared a step that was not empty; no step before the first
                             ///< such boundary can be uncertain.

  /// Names the first field that no sequence of steps over entropies of at least 0 can have produced: for states that
  /// come from outside.
  RESET_HOST_DEVICE constexpr Status validate() const noexcept {
    constexpr StatusCode kInvalid = StatusCode::kInvalidArgument;
    if (global_count < 0 || global_count > kMaxTokenCount) {
      return {kInvalid, "global_count", global_count, "0..2^53"};
    }
    if (step_count < 0 || step_count > global_count) return {kInvalid, "step_count", step_count, "0..global_count"};
    if (cleared < 0 || cleared > global_count - step_count) {
      return {kInvalid, "cleared", cleared, "0..global_count - step_count"};
    }
    const auto bad = [](auto x) { return !detail::is_finite(x) || x < 0; };
    constexpr const char* kSum = "finite and at least 0, and 0 if nothing is counted";
    if (bad(step_sum) || (step_count == 0 && step_sum > 0.0)) return {kInvalid, "step_sum", step_sum, kSum};
    if (bad(global_sum) || (global_count == 0 && global_sum > 0.0)) return {kInvalid, "global_sum", global_sum, kSum};
    for (const float entropy : ring) {
      if (bad(entropy)) return {kInvalid, "ring", static_cast<double>(entropy), "finite entropies of at least 0"};
    }
    return {};
  }
};

static_assert(std::is_trivially_copyable_v<ReSETState> && std::is_trivially_copyable_v<ReSETParams>);

/// What the policy decided for one token, and on what grounds.
struct ReSETDecision {
  float temperature = 1.0f;  ///< T_t.
  double threshold = 0.0;    ///< tau_t.
  double step_mean = 0.0;    ///< Hstep_t: of the window while the step is young, of the step afterwards.
  double global_mean = 0.0;  ///< Hbar_t.
  bool uncertain = false;    ///< Whether Hstep_t > Hbar_t ruled, so that tau_t = Hstep_t.
  bool high = true;          ///< Whether T_t is T_high, that is H_t >= tau_t.
};

namespace detail {

// Where the n-th entropy stands: inside the ring, whatever n is.
RESET_HOST_DEVICE constexpr std::uint64_t ring_index(std::int64_t n) noexcept {
  return static_cast<std::uint64_t>(n) % static_cast<std::uint64_t>(kMaxWindow);
}

// The newest min(window, count) entropies, summed afresh in order of arrival: a sum kept by subtraction would drift.
RESET_HOST_DEVICE inline double window_mean(const ReSETState& state, std::int64_t length) noexcept {
  double sum = 0.0;
#if defined(__CUDA_ARCH__)
#pragma unroll 8
#endif
  for (std::int64_t n = state.global_count - length; n < state.global_count; ++n) {
    sum = add_rn(sum, static_cast<double>(state.ring[ring_index(n)]));
  }
  return div_rn(sum, static_cast<double>(length));
}

RESET_HOST_DEVICE inline void append_entropy(ReSETState& state, float entropy) noexcept {
  state.ring[ring_index(state.global_count)] = entropy;
  state.step_sum = add_rn(state.step_sum, static_cast<double>(entropy));
  state.global_sum = add_rn(state.global_sum, static_cast<double>(entropy));
  ++state.step_count;
  ++state.global_count;
}

// Hstep and Hbar of the entropies held. The mean of none is that of what stands in for it: H_t for the step, the step
// for the request.
struct HistoryMeans {
  double step = 0.0;
  double global = 0.0;
  bool has_step = false;
  bool has_global = false;
};

// `entered` is 1 if H_t is held.
RESET_HOST_DEVICE inline HistoryMeans history_means(const ReSETParams& params, const ReSETState& state,
                                                    std::int64_t entered) noexcept {
  HistoryMeans means;
  const std::int64_t age = state.step_count - entered;  // t - t0
  if (age < params.window) {
    const std::int64_t length = state.global_count < params.window ? state.global_count : params.window;
    means.has_step = length > 0;
    if (means.has_step) means.step = window_mean(state, length);
  } else {
    means.has_step = state.step_count > 0;
    if (means.has_step) means.step = div_rn(state.step_sum, static_cast<double>(state.step_count));
  }
  means.has_global = state.global_count > 0;
  if (means.has_global) means.global = div_rn(state.global_sum, static_cast<double>(state.global_count));
  return means;
}

// Until the window has dropped an entropy, and in the whole first step, Hstep and Hbar average the same numbers: a tie,
// decided here and not by the rounding of two sums.
RESET_HOST_DEVICE inline bool can_be_uncertain(const ReSETParams& params, const ReSETState& state) noexcept {
  return state.global_count > params.window && state.cleared > 0;
}

RESET_HOST_DEVICE inline ReSETDecision decide(const ReSETParams& params, const ReSETState& state,
                                              const HistoryMeans& means, float entropy) noexcept {
  const double h = static_cast<double>(entropy);
  ReSETDecision decision;
  decision.step_mean = means.has_step ? means.step : h;
  decision.global_mean = means.has_global ? means.global : decision.step_mean;
  decision.uncertain = can_be_uncertain(params, state) && decision.step_mean > decision.global_mean;
  decision.threshold = decision.uncertain ? decision.step_mean : static_cast<double>(params.tau0);
  decision.high = !(h < decision.threshold);
  decision.temperature = decision.high ? params.t_high : params.t_low;
  return decision;
}

// The part of a step that needs no entropy: a boundary's effect, and the means of the tokens before.
RESET_HOST_DEVICE inline HistoryMeans prepare_step(const ReSETParams& params, ReSETState& state,
                                                   bool boundary) noexcept {
  if (boundary && state.step_count > 0) {
    state.step_sum = 0.0;
    state.step_count = 0;
    ++state.cleared;
  }
  return history_means(params, state, 0);
}

RESET_HOST_DEVICE inline ReSETDecision finish_step(const ReSETParams& params, ReSETState& state,
                                                   const HistoryMeans& before, float entropy) noexcept {
  if (!is_finite(entropy)) {
    ReSETDecision decision = decide(params, state, before, 0.0f);
    decision.high = true;
    decision.temperature = params.t_high;
    return decision;
  }
  if (params.history == HistoryMode::kIncludeCurrent) {
    append_entropy(state, entropy);
    return decide(params, state, history_means(params, state, 1), entropy);
  }
  const ReSETDecision decision = decide(params, state, before, entropy);
  append_entropy(state, entropy);
  return decision;
}

}  // namespace detail

/// Takes one token: a `boundary` (the tokens generated so far end a step) clears the step history, though not the
/// window; then the token's `entropy` H_t in nats is judged and enters the history.
///
/// An entropy that is not finite never enters: the token gets T_high, the means are those of the tokens before it
/// (means of no entropies at all are reported as 0), and only the boundary takes effect. `params` must be valid. The
/// cost does not grow with the step; double sums run in one fixed order, so host and device decide alike.
RESET_HOST_DEVICE inline ReSETDecision reset_step(const ReSETParams& params, ReSETState& state, float entropy,
                                                  bool boundary) noexcept {
  return detail::finish_step(params, state, detail::prepare_step(params, state, boundary), entropy);
}

RESET_NAMESPACE_END
