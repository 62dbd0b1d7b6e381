/// @file
/// What a step-boundary detector is: the events it sees, the marks it gives, and the trait that checks a type for both.
///
/// A detector is a small value that watches the generated tokens of one request and says after each whether the next
/// token begins a new reasoning step. A type of your own is one as soon as it has these members; nothing is inherited:
///
/// @code
/// struct EveryFullStop {
///   struct State {};
///   std::int32_t full_stop;
///   RESET_HOST_DEVICE State initial_state() const { return {}; }
///   RESET_HOST_DEVICE reset::StepMark observe(State&, const reset::TokenEvent& event) const {
///     return event.token == full_stop;
///   }
/// };
/// static_assert(reset::is_step_detector_v<EveryFullStop>);
/// @endcode
///
/// - The detector and its `State` are trivially copyable. The detector is shared by all requests and never changes;
///   each request owns one `State`, which may be copied, exported and imported byte by byte.
/// - `observe` gets every generated token once, in order, and no token of the prompt. It must depend on nothing but the
///   detector, the state and the event, so that host and device, or a replay, come to the same marks.
/// - `observe` may return a bool, so callers write `const StepMark mark = detector.observe(state, event);`.
///   Nothing else that converts to bool will do: a token id or a count would make every token a boundary.
/// - `observe` neither throws nor fails. A negative token is a placeholder of the engine, not a token, and an entropy
///   that is not finite carries no information: the detectors of this library ignore both.
/// - `bool initially_active() const` is optional: whether the policy applies to the first token (true if absent).
/// - `Status fits(std::int32_t vocabulary) const` is optional: why the detector makes no sense for a vocabulary of so
///   many tokens, which samplers then refuse; Ok if it does.
/// - The host needs no `RESET_HOST_DEVICE`; a detector that is to run on the device does, at each of these but `fits`:
///   without it a file that begins requests on the device does not compile, with the detector in an `AnyOf` or a
///   `Gated` neither.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include <reset/config.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// One generated token, as a detector sees it.
struct TokenEvent {
  std::int32_t token;     ///< Its id in the vocabulary; negative for a placeholder.
  float entropy;          ///< H_t of the row it was sampled from, in nats; not finite where the row was bad.
  std::int64_t position;  ///< Its absolute position in the sequence, the prompt counted.
};

/// What a detector says after a token.
struct StepMark {
  bool boundary = false;  ///< The next token begins a new step.
  bool active = true;     ///< The policy applies to the next token.

  /// No boundary; the policy applies.
  constexpr StepMark() = default;

  /// A boundary or none, and the policy applies. Implicit, so that `observe` may simply return a bool, and for `Bool` =
  /// bool only.
  template <class Bool, class = std::enable_if_t<std::is_same_v<Bool, bool>>>
  RESET_HOST_DEVICE constexpr StepMark(Bool is_boundary) noexcept : boundary(is_boundary) {}

  /// Both said.
  RESET_HOST_DEVICE constexpr StepMark(bool is_boundary, bool is_active) noexcept
      : boundary(is_boundary), active(is_active) {}
};

namespace detail {

template <class T, class = void>
struct HasDetectorState : std::false_type {};
template <class T>
struct HasDetectorState<T, std::void_t<typename T::State>> : std::is_trivially_copyable<typename T::State> {};

template <class T, class = void>
struct HasInitialState : std::false_type {};
template <class T>
struct HasInitialState<T, std::void_t<decltype(std::declval<const T&>().initial_state())>>
    : std::is_same<decltype(std::declval<const T&>().initial_state()), typename T::State> {};

template <class T, class = void>
struct HasObserve : std::false_type {};
template <class T>
struct HasObserve<T, std::void_t<decltype(std::declval<const T&>().observe(std::declval<typename T::State&>(),
                                                                           std::declval<const TokenEvent&>()))>>
    : std::is_convertible<decltype(std::declval<const T&>().observe(std::declval<typename T::State&>(),
                                                                    std::declval<const TokenEvent&>())),
                          StepMark> {};

template <class T, class = void>
struct HasInitiallyActive : std::false_type {};
template <class T>
struct HasInitiallyActive<T, std::void_t<decltype(std::declval<const T&>().initially_active())>>
    : std::is_convertible<decltype(std::declval<const T&>().initially_active()), bool> {};

template <class T, class = void>
struct NamesInitiallyActive : std::false_type {};
template <class T>
struct NamesInitiallyActive<T, std::void_t<decltype(&T::initially_active)>> : std::true_type {};

template <class T, class = void>
struct HasFits : std::false_type {};
template <class T>
struct HasFits<T, std::void_t<decltype(std::declval<const T&>().fits(std::int32_t{}))>>
    : std::is_same<std::remove_cv_t<decltype(std::declval<const T&>().fits(std::int32_t{}))>, Status> {};

template <class T, class = void>
struct NamesFits : std::false_type {};
template <class T>
struct NamesFits<T, std::void_t<decltype(&T::fits)>> : std::true_type {};

/// Of the optional members: absent, or as they are to be.
template <class T>
inline constexpr bool has_good_activity_v = !NamesInitiallyActive<T>::value || HasInitiallyActive<T>::value;
template <class T>
inline constexpr bool has_good_fits_v = !NamesFits<T>::value || HasFits<T>::value;

/// Whether a token is one of the vocabulary.
RESET_HOST_DEVICE constexpr Status check_token(const char* argument, std::int32_t token,
                                               std::int32_t vocabulary) noexcept {
  if (token >= 0 && token < vocabulary) return {};
  return Status(StatusCode::kInvalidArgument, argument, token, "0..vocabulary-1").bounded(vocabulary - 1);
}

/// What the detector's own `fits` says; Ok where it has none.
template <class Detector>
Status detector_fits([[maybe_unused]] const Detector& detector, [[maybe_unused]] std::int32_t vocabulary) {
  if constexpr (HasFits<Detector>::value) {
    return detector.fits(vocabulary);
  } else {
    return {};
  }
}

}  // namespace detail

/// Whether `T` is a step-boundary detector, as the head of this file describes it.
template <class T>
inline constexpr bool is_step_detector_v =
    std::conjunction_v<std::is_trivially_copyable<T>, detail::HasDetectorState<T>, detail::HasInitialState<T>,
                       detail::HasObserve<T>,
                       std::bool_constant<detail::has_good_activity_v<T> && detail::has_good_fits_v<T>>>;

/// True, or the compilation stops and says what `T` lacks: templates that take a detector begin with
/// `static_assert(require_step_detector<T>());`.
template <class T>
RESET_HOST_DEVICE constexpr bool require_step_detector() noexcept {
  static_assert(std::is_trivially_copyable_v<T>, "a step detector must be trivially copyable");
  static_assert(detail::HasDetectorState<T>::value, "a step detector needs a trivially copyable member type State");
  static_assert(detail::HasInitialState<T>::value, "a step detector needs `State initial_state() const`");
  static_assert(detail::HasObserve<T>::value,
                "a step detector needs `StepMark observe(State&, const TokenEvent&) const` (a bool may be returned)");
  static_assert(detail::has_good_activity_v<T>,
                "initially_active of a step detector is `bool initially_active() const`");
  static_assert(detail::has_good_fits_v<T>, "fits of a step detector is `Status fits(std::int32_t) const`");
  return true;
}

/// Whether the policy applies to the first generated token: what the detector's own `initially_active()` says, and true
/// where it has none.
template <class Detector>
RESET_HOST_DEVICE constexpr bool initially_active([[maybe_unused]] const Detector& detector) {
  if constexpr (detail::HasInitiallyActive<Detector>::value) {
    return detector.initially_active();
  } else {
    return true;
  }
}

RESET_NAMESPACE_END
