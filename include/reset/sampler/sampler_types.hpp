/// @file
/// What goes into a sampler and comes out of it: plain values that host and device back ends share.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include <reset/sampler/boundary/detector.hpp>
#include <reset/sampler/early_stop.hpp>
#include <reset/sampler/entropy.hpp>
#include <reset/sampler/policy.hpp>
#include <reset/sampler/random.hpp>

RESET_NAMESPACE_BEGIN

/// A token id that is not known yet: asynchronous engines put it where a token will be.
inline constexpr std::int32_t kPlaceholderToken = -1;

/// Most rows that one slot can have in one call: a drafted continuation of 63 tokens.
inline constexpr std::int32_t kMaxRowsPerSlot = 64;

/// The highest position that a token can have: the one after it is still a number.
inline constexpr std::int64_t kMaxPosition = std::numeric_limits<std::int64_t>::max() - 1;

/// A position that means "the next of the slot": the slot's counter, as it stands in device memory when the call runs.
/// kNextPosition - i is the i-th position after that, for the i-th drafted row. With them the rows of a captured graph
/// need not change from replay to replay; a row that a replay does not need has slot -1, which gives kRefused and
/// touches nobody.
inline constexpr std::int64_t kNextPosition = -1;

/// The shape of what a sampler works on; fixed at construction.
struct SamplerConfig {
  /// Columns that are tokens: ids 0..vocabulary-1, those the model was trained to give (its `vocab_size`, or the
  /// tokenizer's length where the rest is padding). Columns behind are not read.
  std::int32_t vocabulary = 0;
  std::int64_t row_stride = 0;     ///< Elements from one row of logits to the next; 0 means `vocabulary`.
  std::int32_t slots = 1;          ///< Requests that are in flight at once.
  std::int32_t rows_per_slot = 1;  ///< Most rows of one slot in one call: 1 + drafted tokens, at most kMaxRowsPerSlot.
  bool rank = false;  ///< Whether results tell the rank of their token, which takes another read of the row.
  /// On the device: whether calls may have `entropy_logits`, which takes memory. The CPU sampler's always may.
  bool entropy_logits = false;

  /// Names the first field that is outside its domain.
  RESET_HOST_DEVICE constexpr Status validate() const noexcept {
    constexpr StatusCode kInvalid = StatusCode::kInvalidArgument;
    if (vocabulary < 1) return {kInvalid, "vocabulary", vocabulary, "at least 1"};
    if (row_stride != 0 && row_stride < vocabulary) {
      return Status(kInvalid, "row_stride", row_stride, "0 or at least the vocabulary").bounded(vocabulary);
    }
    if (slots < 1) return {kInvalid, "slots", slots, "at least 1"};
    if (rows_per_slot < 1 || rows_per_slot > kMaxRowsPerSlot) {
      return {kInvalid, "rows_per_slot", rows_per_slot, "1..64"};
    }
    return {};
  }
};

/// How a token is drawn once the temperature is known. In this order: temperature, top-k, top-p on the renormalised
/// rest, min-p. Penalties are the engine's and come before: H_t is the entropy of the logits as they arrive, or of
/// those that a call has for it, `entropy_logits`.
struct SamplingParams {
  /// Temperature wherever the policy does not rule: in requests with ReSET disabled, and while a detector says that it
  /// is inactive. At most 1e-6 means exact argmax.
  float temperature = 1.0f;
  std::int32_t top_k = 0;  ///< Keeps the k most likely tokens, of equal ones the lowest ids; 0 keeps all.
  /// Keeps the most likely tokens until their probabilities reach p; the token that crosses p is kept. 1 keeps all, 0
  /// the first.
  float top_p = 1.0f;
  float min_p = 0.0f;               ///< Keeps tokens of at least this share of the highest probability; 0 keeps all.
  std::int32_t fallback_token = 0;  ///< What a row without a single finite logit gives.

  /// Names the first field that is outside its domain, for ids below `vocabulary`.
  RESET_HOST_DEVICE constexpr Status validate(std::int32_t vocabulary) const noexcept {
    constexpr StatusCode kInvalid = StatusCode::kInvalidArgument;
    if (!detail::is_finite(temperature) || temperature < 0.0f) {
      return {kInvalid, "temperature", static_cast<double>(temperature), "finite and at least 0"};
    }
    if (top_k < 0) return {kInvalid, "top_k", top_k, "at least 0"};
    if (!detail::is_finite(top_p) || top_p < 0.0f || top_p > 1.0f) {
      return {kInvalid, "top_p", static_cast<double>(top_p), "0..1"};
    }
    if (!detail::is_finite(min_p) || min_p < 0.0f || min_p > 1.0f) {
      return {kInvalid, "min_p", static_cast<double>(min_p), "0..1"};
    }
    return detail::check_token("fallback_token", fallback_token, vocabulary);
  }
};

namespace detail {

/// Whether a sampler has such a slot.
RESET_HOST_DEVICE constexpr Status check_slot(const SamplerConfig& config, std::int32_t slot) noexcept {
  if (slot >= 0 && slot < config.slots) return {};
  return Status(StatusCode::kInvalidArgument, "slot", slot, "0..slots-1").bounded(config.slots - 1);
}

/// A complaint of a member of RequestParams, its field under the name that it has there.
RESET_HOST_DEVICE constexpr Status request_status(const Status& status) noexcept {
  constexpr const char* kNames[][2] = {{"tau0", "reset.tau0"},       {"t_low", "reset.t_low"},
                                       {"t_high", "reset.t_high"},   {"window", "reset.window"},
                                       {"history", "reset.history"}, {"temperature", "sampling.temperature"},
                                       {"top_k", "sampling.top_k"},  {"top_p", "sampling.top_p"},
                                       {"min_p", "sampling.min_p"},  {"fallback_token", "sampling.fallback_token"}};
  for (const auto& names : kNames) {
    int i = 0;
    while (names[0][i] != '\0' && names[0][i] == status.argument()[i]) ++i;
    if (names[0][i] == status.argument()[i]) return status.named(names[1]);
  }
  return status;
}

}  // namespace detail

/// Everything about one request that does not change while it runs.
struct RequestParams {
  ReSETParams reset;        ///< The policy.
  SamplingParams sampling;  ///< The drawing.
  /// The request's random numbers: give every request its own. Requests that share one, the default included, draw
  /// equal tokens from equal prompts.
  std::uint64_t seed = 0;
  /// Position of the first generated token, 0..kMaxPosition. `sample`, and on the device kNextPosition, count on from
  /// it.
  std::int64_t first_position = 0;
  bool reset_enabled = true;  ///< Whether the policy sets the temperature.
  /// Whether the detector ends steps. Where not, it goes on watching and says where the policy is active, but no token
  /// that comes in meanwhile is marked as the end of a step: all of them are of one step. Turned on again, it has seen
  /// every token. A boundary that was marked before still begins the next active step.
  bool detector_enabled = true;
  EarlyStopParams early_stop;  ///< When the slot's flag `stop` goes up; off by default.
  /// What its tokens are drawn for, kSampling or kDrafting: a drafter that has its target's seed draws by random
  /// numbers of its own. A drafter that accepts drafts itself must have another seed: the numbers by which it does, and
  /// those by which it replaces what it rejects, are the target's whatever the purpose.
  RandomPurpose purpose = RandomPurpose::kSampling;

  /// Names the first field that is outside its domain.
  RESET_HOST_DEVICE constexpr Status validate(std::int32_t vocabulary) const noexcept {
    const Status policy = reset.validate();
    if (!policy.ok()) return detail::request_status(policy);
    const Status stop = early_stop.validate();
    if (!stop.ok()) return stop;
    if (first_position < 0 || first_position > kMaxPosition) {
      return {StatusCode::kInvalidArgument, "first_position", first_position, "0..kMaxPosition, 2^63-2"};
    }
    if (purpose != RandomPurpose::kSampling && purpose != RandomPurpose::kDrafting) {
      return {StatusCode::kInvalidArgument, "purpose", static_cast<std::int64_t>(purpose),
              "0 (kSampling) or 1 (kDrafting)"};
    }
    return detail::request_status(sampling.validate(vocabulary));
  }
};

/// One row of logits: whose it is, and what token stands before the one that it predicts.
struct SamplerRow {
  std::int32_t slot = 0;  ///< The request.
  /// The row's input token. In the first row of a slot that token is already committed and the field is not read; in
  /// the rows after it, the drafted token that the row was computed with, or kPlaceholderToken for the one that the
  /// row before has just sampled: that one always holds, so do not fill up missing drafts with it.
  std::int32_t token = kPlaceholderToken;
  /// Absolute position of the token that the row predicts, 0..kMaxPosition; on the device kNextPosition - i, too, and
  /// the slot's next position by default. The CPU sampler's calls want it told.
  std::int64_t position = kNextPosition;
};

/// What one row gave: the token, and why. `policy` is meaningful if `active`; otherwise only its temperature is.
struct SampledToken {
  std::int32_t token = kPlaceholderToken;  ///< The token drawn.
  /// H_t in nats of the row as it arrived, or of its row of `entropy_logits` where the call has them, at temperature 1
  /// and before truncation; NaN if the row is bad.
  float entropy = detail::float_from_bits(0x7fc00000u);
  ReSETDecision policy;  ///< Temperature, threshold, means and which way it went.
  /// What the row was, or, where it was good, its row of `entropy_logits`. A bad one gives its highest finite logit's
  /// token, or the fallback token, and leaves no trace in the history.
  RowStatus status = RowStatus::kEmpty;
  /// Whether the token begins a new step. Where the detector says inactive no step begins: a boundary found there is
  /// told once, by the next active token. The same with ReSET enabled and disabled.
  bool boundary = false;
  bool active = false;  ///< Whether the policy set the temperature: the detector says active, and ReSET is enabled.
  bool stop = false;    ///< Whether the tokens before this one have raised the slot's flag, see EarlyStopParams.
  /// Logarithm of the token's probability in the row as it arrived, at temperature 1 and before truncation; NaN if the
  /// row is bad.
  float logprob = detail::float_from_bits(0x7fc00000u);
  /// How many tokens are preferred to it (a higher logit, or the same one and a lower id); -1 where not asked for or
  /// the row is bad.
  std::int32_t rank = -1;
};

/// Everything that a sampler remembers of one request, `RequestParams` aside: trivially copyable.
template <class DetectorState>
struct SlotState {
  ReSETState policy;       ///< The entropy history.
  DetectorState detector;  ///< The detector's.
  StepMark mark;  ///< What the detector said after the last committed token, with a boundary that still waits for an
                  ///< active token.
  std::int32_t last_token = kPlaceholderToken;  ///< The last committed token, if there is one.
  /// One after the position of the last committed token; kMaxPosition + 1 is that of a request that can have no more.
  std::int64_t next_position = 0;
  std::int64_t tokens = 0;    ///< Committed tokens.
  EarlyStopState early_stop;  ///< What the rules to end early remember, and their flag.

  /// Names the first field that no request of a vocabulary can have; the detector's state is its own affair.
  RESET_HOST_DEVICE constexpr Status validate(std::int32_t vocabulary) const noexcept {
    constexpr StatusCode kInvalid = StatusCode::kInvalidArgument;
    if (last_token < kPlaceholderToken || last_token >= vocabulary) {
      return Status(kInvalid, "last_token", last_token, "-1 for none, or 0..vocabulary-1").bounded(vocabulary - 1);
    }
    if (next_position < 0 || next_position > kMaxPosition + 1) {
      return {kInvalid, "next_position", next_position, "0..kMaxPosition + 1, 2^63-1"};
    }
    if (tokens < 0 || tokens > kMaxTokenCount) return {kInvalid, "tokens", tokens, "0..2^53"};
    const Status stop = early_stop.validate();
    return stop.ok() ? policy.validate() : stop;
  }
};

static_assert(std::is_trivially_copyable_v<RequestParams> && std::is_trivially_copyable_v<SampledToken>);

namespace detail {

/// A token enters the detector. A boundary that was found where the policy is inactive waits for the next active token.
template <class Detector>
RESET_HOST_DEVICE inline StepMark observe_token(const Detector& detector, const RequestParams& request,
                                                typename Detector::State& state, StepMark before,
                                                const TokenEvent& event) noexcept {
  StepMark mark = detector.observe(state, event);
  mark.boundary = (mark.boundary && request.detector_enabled) || (before.boundary && !before.active);
  return mark;
}

/// A token enters everything that its slot remembers beside the policy's history.
template <class Detector>
RESET_HOST_DEVICE inline void follow_token(const Detector& detector, const RequestParams& request,
                                           SlotState<typename Detector::State>& state,
                                           const TokenEvent& event) noexcept {
  follow_stop(request.early_stop, state.early_stop, state.mark, event.entropy);
  state.mark = observe_token(detector, request, state.detector, state.mark, event);
  state.last_token = event.token;
  state.next_position = event.position + 1;
  ++state.tokens;
}

/// The part of `decide_row` that does not need the row.
RESET_HOST_DEVICE inline HistoryMeans prepare_row(const RequestParams& request, ReSETState& policy,
                                                  StepMark mark) noexcept {
  const bool active = request.reset_enabled && mark.active;
  return active ? prepare_step(request.reset, policy, mark.boundary) : HistoryMeans();
}

/// The rest of it: what the row's entropy makes of the means.
RESET_HOST_DEVICE inline void finish_row(const RequestParams& request, ReSETState& policy, StepMark mark,
                                         const HistoryMeans& means, SampledToken& row) noexcept {
  row.boundary = mark.boundary && mark.active;
  row.active = request.reset_enabled && mark.active;
  if (row.active) {
    row.policy = finish_step(request.reset, policy, means, row.entropy);
  } else {
    row.policy = ReSETDecision{};
    row.policy.temperature = request.sampling.temperature;
  }
}

/// The temperature of one row, and the entropy's entry into the history: the one place where both happen.
RESET_HOST_DEVICE inline void decide_row(const RequestParams& request, ReSETState& policy, StepMark mark,
                                         SampledToken& row) noexcept {
  finish_row(request, policy, mark, prepare_row(request, policy, mark), row);
}

}  // namespace detail
RESET_NAMESPACE_END
