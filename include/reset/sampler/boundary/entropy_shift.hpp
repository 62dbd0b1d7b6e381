/// @file
/// The detector that reads no text: a step ends where the level of the entropy changes.
#pragma once

#include <cstdint>

#include <reset/detail/rounding.hpp>
#include <reset/sampler/boundary/detector.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// What an `EntropyShift` takes for a change. No value is right for every model, so there are no defaults that pass.
struct EntropyShiftParams {
  double drift = 0;           ///< Deviation from the mean that is tolerated for ever, in nats a token; 0 or more.
  double threshold = 0;       ///< Accumulated deviation beyond it that makes a boundary, in nats; more than 0.
  std::int64_t baseline = 0;  ///< First tokens of a step that only estimate its mean; 1 or more.

  /// Whether every field is in its domain; NaN and infinity never are.
  Status validate() const noexcept {
    if (!detail::is_finite(drift) || drift < 0) {
      return {StatusCode::kInvalidArgument, "drift", drift, "a finite number, 0 or more"};
    }
    if (!detail::is_finite(threshold) || !(threshold > 0)) {
      return {StatusCode::kInvalidArgument, "threshold", threshold, "a finite number above 0"};
    }
    if (baseline < 1) return {StatusCode::kInvalidArgument, "baseline", baseline, "1 or more"};
    return {};
  }
};

/// A two-sided cumulative-sum test (Page 1954, Hinkley 1971) for a change of the mean of H_t, begun anew at every
/// boundary. With H_1, H_2, ... the entropies since the last boundary, m_n the mean of H_1..H_(n-1), and U = D = 0 up
/// to n = baseline, from then on
///
///     U <- max(0, U + (H_n - m_n) - drift)
///     D <- max(0, D - (H_n - m_n) - drift)
///
/// and token n is the last of its step if U > threshold or D > threshold. Placeholders and entropies that are not
/// finite change nothing. All sums are double, in order of arrival, each operation rounded once: host and device agree.
class EntropyShift {
 public:
  /// What is remembered between tokens: 32 bytes, all 0 at the start of a step.
  struct State {
    std::int64_t tokens;  ///< Entropies since the last boundary, n.
    double sum;           ///< Their sum.
    double rise;          ///< U, the evidence that the mean went up.
    double fall;          ///< D, the evidence that the mean went down.
  };

  /// The test with these parameters. Throws `Error` if they are not valid.
  explicit EntropyShift(const EntropyShiftParams& params) : params_(params) { throw_if_failed(params.validate()); }

  /// The state of a new request.
  RESET_HOST_DEVICE constexpr State initial_state() const noexcept { return {0, 0, 0, 0}; }

  /// Whether the evidence for a change has passed the threshold.
  RESET_HOST_DEVICE StepMark observe(State& state, const TokenEvent& event) const noexcept {
    if (event.token < 0 || !detail::is_finite(event.entropy)) return false;
    const double entropy = detail::widen(event.entropy);
    if (state.tokens >= params_.baseline) {
      const double mean = detail::div_rn(state.sum, static_cast<double>(state.tokens));
      const double deviation = detail::add_rn(entropy, -mean);
      state.rise = accumulate(state.rise, deviation);
      state.fall = accumulate(state.fall, -deviation);
      if (state.rise > params_.threshold || state.fall > params_.threshold) {
        state = initial_state();
        return true;
      }
    }
    state.sum = detail::add_rn(state.sum, entropy);
    ++state.tokens;
    return false;
  }

 private:
  RESET_HOST_DEVICE double accumulate(double evidence, double deviation) const noexcept {
    const double next = detail::add_rn(detail::add_rn(evidence, deviation), -params_.drift);
    return next > 0 ? next : 0;
  }

  EntropyShiftParams params_;
};

static_assert(is_step_detector_v<EntropyShift>);

RESET_NAMESPACE_END
