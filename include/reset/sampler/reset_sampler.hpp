/// @file
/// `ReSETSampler`: step-aware temperature scaling and token sampling for many requests, here on the CPU.
///
/// @code
/// reset::SamplerConfig config;
/// config.vocabulary = 151936;
/// config.slots = 8;
/// reset::ReSETSampler sampler(config, detector);     // any type that detector.hpp describes
/// reset::RequestParams request;
/// request.reset = reset::find_published_preset("Qwen3-8B")->params;
/// request.sampling.top_p = 0.95f;
/// if (!sampler.add(slot, request).ok()) ...          // when the request arrives
/// reset::SampledToken next;
/// if (!sampler.sample(slot, logits, next).ok()) ...  // every token; next.token, next.entropy, next.policy ...
/// @endcode
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include <reset/sampler/boundary/none.hpp>
#include <reset/sampler/detail/host_row.hpp>
#include <reset/sampler/sampler_types.hpp>

RESET_NAMESPACE_BEGIN

/// Samples on the CPU, in the calling thread.
struct HostBackend {};

/// ReSET for the requests of an engine. `Detector` finds the boundaries of reasoning steps; `Backend` is where the work
/// is done. See the specialisation for `HostBackend`.
template <class Detector, class Backend = HostBackend>
class ReSETSampler;

/// The CPU sampler.
///
/// Requests live in slots 0..slots-1. A slot is initialised by `add`, whatever was in it before; there is nothing to
/// remove. Every token takes two calls: `apply` computes and samples rows and changes nothing that lasts, `commit`
/// folds the accepted ones into the history. `sample` is both for one row, `step` for any. With speculative decoding
/// the 1 + K rows of a slot are sampled assuming that its drafts hold, and commit(slot, accepted + 1) keeps what did;
/// nothing is rolled back.
///
/// Logits are raw: temperature 1, no softmax. Masks (-inf) and penalties that were applied before count as part of
/// them, for H_t too, unless a call has `entropy_logits`: the same rows before all that, where not null. Then H_t, and
/// with it the policy and early stop, is that of row i there, and everything else about row i is of `logits`; a row
/// that is bad in either is bad. While the detector says inactive, the slot samples at its plain temperature and its
/// entropies stay out of the history; a boundary found meanwhile waits for the next active token.
///
/// A token depends on the row, the request's parameters and history, the seed and the position, and on nothing else:
/// not on the other rows, their order, or the slot. Calls allocate nothing and never throw. One sampler serves one
/// thread at a time; samplers share nothing.
template <class Detector>
class ReSETSampler<Detector, HostBackend> {
  static_assert(require_step_detector<Detector>());

 public:
  /// A slot's memory, for export and import.
  using State = SlotState<typename Detector::State>;

  /// Allocates everything that later calls need. Throws `Error` for a configuration outside its domain, or a detector
  /// whose `fits` refuses the vocabulary; tables of ids may be of another size.
  explicit ReSETSampler(const SamplerConfig& config, Detector detector = Detector())
      : config_(validated(config, detector)),
        detector_(std::move(detector)),
        row_(static_cast<std::size_t>(config.vocabulary)),
        slots_(static_cast<std::size_t>(config.slots)),
        pending_(static_cast<std::size_t>(config.slots) * static_cast<std::size_t>(config.rows_per_slot)) {}

  /// The configuration it was made with.
  const SamplerConfig& config() const noexcept { return config_; }

  /// Begins a request in `slot`; what was in it is forgotten. Refuses a slot or parameters outside their domain, and
  /// then leaves the slot as it was.
  Status add(std::int32_t slot, const RequestParams& request) noexcept {
    Status status = detail::check_slot(config_, slot);
    if (status.ok()) status = request.validate(config_.vocabulary);
    if (!status.ok()) return status;
    Slot fresh;
    fresh.request = request;
    fresh.state.detector = detector_.initial_state();
    fresh.state.mark = StepMark(false, initially_active(detector_));
    fresh.state.next_position = request.first_position;
    fresh.in_use = true;
    slots_[static_cast<std::size_t>(slot)] = fresh;
    return {};
  }

  /// Samples `count` rows of logits (float, `Half` or `BFloat16`), row i at logits + i row_stride, and writes
  /// results[i]. Rows may stand in any order and belong to any slots; those of one slot have consecutive positions and
  /// are taken in that order. What was applied to these slots before and not committed is dropped. Positions are the
  /// engine's: they key the random numbers and are not compared with those that the slot has committed.
  ///
  /// A bad row is no error: see `SampledToken::status`. Refused with nothing written: a slot out of range or without
  /// a request, more rows of a slot than configured, positions of a slot that are out of range, repeated or have gaps,
  /// and drafted tokens outside the vocabulary.
  template <class T>
  Status apply(const T* logits, const SamplerRow* rows, std::size_t count, SampledToken* results,
               const detail::Same<T>* entropy_logits = nullptr) noexcept {
    static_assert(is_logit_v<T>, "logits are float, Half or BFloat16");
    const Status status = stage(logits, rows, count, results);
    if (!status.ok()) return status;
    for (std::size_t i = 0; i < count; ++i) {
      if (rows[i].position != slot_of(rows[i]).staged.first) continue;
      apply_slot(Logits<T>{logits, entropy_logits}, rows[i].slot, results);
    }
    return {};
  }

  /// Samples `count` rows as `apply` does, and commits what they give: a slot's only row, or of 1 + K rows with drafted
  /// tokens those up to and including the first at which the draft does not hold (rows behind it give kUnused). Without
  /// `draft_probabilities` a draft holds if it is the slot's own sample: tokens, and what the slot remembers, are those
  /// of one row after the other. With them it holds with probability min(1, p / q), p after temperature and truncation,
  /// and the token that takes its place is drawn from max(p - q, 0): tokens are distributed as without drafts.
  /// draft_probabilities[i vocabulary + v] is the probability of token v in what the token drafted behind row i was
  /// drawn from (not read where none is). A draft of probability 0 is accepted where p gives it any, one of NaN never.
  /// What is negative counts as 0, and so does NaN in what p leaves above it once a draft is rejected.
  template <class T>
  Status step(const T* logits, const SamplerRow* rows, std::size_t count, SampledToken* results,
              const float* draft_probabilities = nullptr, const detail::Same<T>* entropy_logits = nullptr) noexcept {
    static_assert(is_logit_v<T>, "logits are float, Half or BFloat16");
    const Status status = stage(logits, rows, count, results);
    if (!status.ok()) return status;
    for (std::size_t i = 0; i < count; ++i) {
      if (rows[i].position != slot_of(rows[i]).staged.first) continue;
      step_slot(Logits<T>{logits, entropy_logits}, rows[i].slot, results, draft_probabilities);
    }
    return {};
  }

  /// Folds the first `count` applied rows of `slot` into its history: the tokens between them are the drafted ones, the
  /// last token is the one sampled. With speculative decoding `count` is the accepted drafts + 1; 0 drops the rows.
  /// Refuses more rows than were applied since the last commit.
  Status commit(std::int32_t slot, std::int32_t count) noexcept {
    const Status status = committable(slot, count);
    if (!status.ok()) return status;
    Pending* pending = pending_of(slot);
    for (std::int32_t i = 0; i < count; ++i)
      fold(slot, pending[i], i + 1 < count ? follower(slot, i) : sampled(slot, i));
    slots_[static_cast<std::size_t>(slot)].pending = 0;
    return {};
  }

  /// The same with the tokens that the engine has settled on, one a row: for rejection samplers, which may replace the
  /// last. Refuses, and folds nothing, if one is outside the vocabulary or `tokens` is null; a count of 0 reads none.
  Status commit(std::int32_t slot, const std::int32_t* tokens, std::int32_t count) noexcept {
    Status status = committable(slot, count);
    if (!status.ok()) return status;
    if (count > 0 && tokens == nullptr) return {StatusCode::kInvalidArgument, "tokens", 0, "a pointer to memory"};
    for (std::int32_t i = 0; i < count; ++i) {
      status = detail::check_token("token", tokens[i], config_.vocabulary);
      if (!status.ok()) return status;
    }
    for (std::int32_t i = 0; i < count; ++i) fold(slot, pending_of(slot)[i], tokens[i]);
    slots_[static_cast<std::size_t>(slot)].pending = 0;
    return {};
  }

  /// Samples and commits the next token of `slot` from one row.
  template <class T>
  Status sample(std::int32_t slot, const T* logits, SampledToken& result,
                const detail::Same<T>* entropy_logits = nullptr) noexcept {
    if (!in_use(slot)) return bad_slot(slot);
    SamplerRow row;
    row.slot = slot;
    row.position = slots_[static_cast<std::size_t>(slot)].state.next_position;
    const Status status = apply(logits, &row, 1, &result, entropy_logits);
    return status.ok() ? commit(slot, 1) : status;
  }

  /// Copies a slot's memory out, for preemption. Rows that are applied and not committed are not part of it.
  Status export_slot(std::int32_t slot, State& state) const noexcept {
    if (!in_use(slot)) return bad_slot(slot);
    state = slots_[static_cast<std::size_t>(slot)].state;
    return {};
  }

  /// Puts a slot's memory back, into this or any other slot or sampler that `add` has begun the same request in.
  /// Refuses a state that no request can have, as far as the sampler can tell (the detector's part is not checked), and
  /// then leaves the slot as it was.
  Status import_slot(std::int32_t slot, const State& state) noexcept {
    if (!in_use(slot)) return bad_slot(slot);
    const Status status = state.validate(config_.vocabulary);
    if (!status.ok()) return status;
    slots_[static_cast<std::size_t>(slot)].state = state;
    slots_[static_cast<std::size_t>(slot)].pending = 0;
    return {};
  }

 private:
  // What a call has found out about the rows of one slot before anything is done.
  struct Staged {
    std::int64_t first = 0;
    std::uint64_t seen = 0;
    std::int32_t count = 0;
  };

  struct Slot {
    RequestParams request;
    State state{};
    Staged staged;
    std::int32_t pending = 0;
    bool in_use = false;
  };

  struct Pending {
    std::size_t row = 0;
    SamplerRow input;
    SampledToken result;
  };

  static const SamplerConfig& validated(const SamplerConfig& config, const Detector& detector) {
    throw_if_failed(config.validate());
    throw_if_failed(detail::detector_fits(detector, config.vocabulary));
    return config;
  }

  bool in_use(std::int32_t slot) const noexcept {
    return detail::check_slot(config_, slot).ok() && slots_[static_cast<std::size_t>(slot)].in_use;
  }
  static Status bad_slot(std::int32_t slot) noexcept {
    return {StatusCode::kInvalidArgument, "slot", slot, "a configured slot that a request was added to"};
  }

  Slot& slot_of(const SamplerRow& row) noexcept { return slots_[static_cast<std::size_t>(row.slot)]; }
  Pending* pending_of(std::int32_t slot) noexcept {
    return &pending_[static_cast<std::size_t>(slot) * static_cast<std::size_t>(config_.rows_per_slot)];
  }

  Status check_row(const SamplerRow& row) const noexcept {
    if (!in_use(row.slot)) return bad_slot(row.slot);
    if (row.position < 0 || row.position > kMaxPosition) {
      return {StatusCode::kInvalidArgument, "position", row.position,
              "0..kMaxPosition, 2^63-2 (kNextPosition is for the device)"};
    }
    return {};
  }

  // Checks all rows of a call; if they are good, each stands among its slot's pending ones.
  Status stage(const void* logits, const SamplerRow* rows, std::size_t count, const SampledToken* results) noexcept {
    if (count == 0) return {};
    const char* null = logits == nullptr    ? "logits"
                       : rows == nullptr    ? "rows"
                       : results == nullptr ? "results"
                                            : nullptr;
    if (null != nullptr) return {StatusCode::kInvalidArgument, null, 0, "a pointer to memory"};
    for (std::size_t i = 0; i < count; ++i) {
      const Status status = check_row(rows[i]);
      if (!status.ok()) return status;
      slot_of(rows[i]).staged = {rows[i].position, 0, 0};
    }
    for (std::size_t i = 0; i < count; ++i) {
      Staged& staged = slot_of(rows[i]).staged;
      if (rows[i].position < staged.first) staged.first = rows[i].position;
      if (++staged.count > config_.rows_per_slot) {
        return Status(StatusCode::kInvalidArgument, "rows of one slot", staged.count, "at most rows_per_slot")
            .bounded(config_.rows_per_slot);
      }
    }
    for (std::size_t i = 0; i < count; ++i) {
      Staged& staged = slot_of(rows[i]).staged;
      const std::int64_t place = rows[i].position - staged.first;
      if (place >= staged.count || (staged.seen >> place & 1) != 0) {
        return {StatusCode::kInvalidArgument, "position", rows[i].position, "consecutive positions within a slot"};
      }
      if (place > 0 && rows[i].token != kPlaceholderToken) {
        const Status status = detail::check_token("token", rows[i].token, config_.vocabulary);
        if (!status.ok()) return status;
      }
      staged.seen |= std::uint64_t{1} << place;
    }
    for (std::size_t i = 0; i < count; ++i) {
      const Staged& staged = slot_of(rows[i]).staged;
      pending_of(rows[i].slot)[rows[i].position - staged.first] = {i, rows[i], {}};
    }
    return {};
  }

  // The logits of a call.
  template <class T>
  struct Logits {
    const T* rows;
    const T* entropy_rows;  // null where the entropy is of `rows`
  };

  // Those of one row, whose status and entropy go into `result`.
  template <class T>
  const T* read_row(const Logits<T>& logits, const Pending& pending, SampledToken& result) noexcept {
    const auto stride = static_cast<std::size_t>(config_.row_stride != 0 ? config_.row_stride : config_.vocabulary);
    const std::size_t offset = pending.row * stride;
    row_.read(logits.rows + offset, result, logits.entropy_rows != nullptr ? logits.entropy_rows + offset : nullptr);
    return logits.rows + offset;
  }

  static RandomKey key_of(const Slot& slot, const Pending& pending) noexcept {
    return {slot.request.seed, pending.input.position, slot.request.purpose};
  }

  template <class T>
  void apply_slot(const Logits<T>& logits, std::int32_t index, SampledToken* results) noexcept {
    Slot& slot = slots_[static_cast<std::size_t>(index)];
    slot.pending = slot.staged.count;
    Pending* pending = pending_of(index);
    ReSETState policy = slot.state.policy;
    typename Detector::State detector = slot.state.detector;
    StepMark mark = slot.state.mark;
    EarlyStopState early_stop = slot.state.early_stop;
    for (std::int32_t i = 0; i < slot.pending; ++i) {
      if (i > 0) {
        const TokenEvent before = event(pending[i - 1], follower(index, i - 1));
        detail::follow_stop(slot.request.early_stop, early_stop, mark, before.entropy);
        mark = detail::observe_token(detector_, slot.request, detector, mark, before);
      }
      SampledToken& result = pending[i].result;
      const T* row = read_row(logits, pending[i], result);
      detail::decide_row(slot.request, policy, mark, result);
      result.stop = early_stop.stop;
      result.token = row_.draw(row, slot.request.sampling, result.policy.temperature, key_of(slot, pending[i]));
      row_.describe(row, config_.rank, result);
      results[pending[i].row] = result;
    }
  }

  template <class T>
  void step_slot(const Logits<T>& logits, std::int32_t index, SampledToken* results, const float* draft) noexcept {
    Slot& slot = slots_[static_cast<std::size_t>(index)];
    State& state = slot.state;
    Pending* pending = pending_of(index);
    bool holds = true;
    for (std::int32_t i = 0; i < slot.staged.count; ++i) {
      SampledToken& result = results[pending[i].row];
      result = SampledToken();
      result.status = RowStatus::kUnused;
      if (!holds) continue;
      const std::int32_t drafted = i + 1 < slot.staged.count ? pending[i + 1].input.token : kPlaceholderToken;
      const T* row = read_row(logits, pending[i], result);
      detail::decide_row(slot.request, state.policy, state.mark, result);
      result.stop = state.early_stop.stop;
      const float temperature = result.policy.temperature;
      const RandomKey key = key_of(slot, pending[i]);
      result.token = draft != nullptr && drafted != kPlaceholderToken
                         ? row_.draw_or_accept(row, slot.request.sampling, temperature, key, drafted,
                                               draft + pending[i].row * static_cast<std::size_t>(config_.vocabulary))
                         : row_.draw(row, slot.request.sampling, temperature, key);
      row_.describe(row, config_.rank, result);
      detail::follow_token(detector_, slot.request, state, {result.token, result.entropy, pending[i].input.position});
      holds = drafted == kPlaceholderToken || drafted == result.token;
    }
    slot.pending = 0;
  }

  // The token behind row i as the next row assumes it.
  std::int32_t follower(std::int32_t slot, std::int32_t i) noexcept {
    const std::int32_t drafted = pending_of(slot)[i + 1].input.token;
    return drafted == kPlaceholderToken ? sampled(slot, i) : drafted;
  }
  std::int32_t sampled(std::int32_t slot, std::int32_t i) noexcept { return pending_of(slot)[i].result.token; }

  static TokenEvent event(const Pending& pending, std::int32_t token) noexcept {
    return {token, pending.result.entropy, pending.input.position};
  }

  Status committable(std::int32_t slot, std::int32_t count) const noexcept {
    if (!in_use(slot)) return bad_slot(slot);
    const std::int32_t pending = slots_[static_cast<std::size_t>(slot)].pending;
    if (count < 0 || count > pending) {
      return Status(StatusCode::kInvalidArgument, "count", count, "0 to the rows applied since the last commit")
          .bounded(pending);
    }
    return {};
  }

  // One accepted row: its entropy enters the history as it did in apply, then its token the detector.
  void fold(std::int32_t index, const Pending& pending, std::int32_t token) noexcept {
    Slot& slot = slots_[static_cast<std::size_t>(index)];
    State& state = slot.state;
    SampledToken again = pending.result;
    detail::decide_row(slot.request, state.policy, state.mark, again);
    detail::follow_token(detector_, slot.request, state, event(pending, token));
  }

  SamplerConfig config_;
  Detector detector_;
  detail::HostRow row_;
  std::vector<Slot> slots_;
  std::vector<Pending> pending_;
};

/// A sampler without backend named is one of the host.
template <class Detector>
ReSETSampler(const SamplerConfig&, Detector) -> ReSETSampler<Detector, HostBackend>;

/// A sampler without detector takes the whole request for one step.
ReSETSampler(const SamplerConfig&)->ReSETSampler<NoDetector, HostBackend>;

RESET_NAMESPACE_END
