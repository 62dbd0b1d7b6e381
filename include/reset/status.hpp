/// @file
/// How errors are told: launchers return a `Status`, load-time host code throws an `Error`.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

#include <reset/config.hpp>

RESET_NAMESPACE_BEGIN

/// What kind of thing went wrong.
enum class StatusCode : std::uint8_t {
  kOk,               ///< Nothing did.
  kInvalidArgument,  ///< An argument is outside its domain; nothing was read, written or launched.
  kUnsupported,      ///< The call is well formed, but no path serves it on this device.
  kCudaError,        ///< CUDA refused; the value is its `cudaError_t`, or of a driver's function its `CUresult`.
};

/// The outcome of a call that must not throw: which argument, the value found, and what was expected.
///
/// A plain value of 32 bytes that allocates nothing. The two strings must have static storage (string literals).
class [[nodiscard]] Status {
 public:
  /// Success.
  RESET_HOST_DEVICE constexpr Status() noexcept : argument_(""), expectation_(""), integer_(0) {}

  /// An argument with an integral value that does not meet `expectation`.
  template <class Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
  RESET_HOST_DEVICE constexpr Status(StatusCode code, const char* argument, Integer value,
                                     const char* expectation) noexcept
      : argument_(argument), expectation_(expectation), integer_(static_cast<std::int64_t>(value)), code_(code) {}

  /// An argument with a floating-point value that does not meet `expectation`.
  RESET_HOST_DEVICE constexpr Status(StatusCode code, const char* argument, double value,
                                     const char* expectation) noexcept
      : argument_(argument), expectation_(expectation), real_(value), code_(code), is_real_(true) {}

  /// Whether the call did what it says.
  RESET_HOST_DEVICE constexpr bool ok() const noexcept { return code_ == StatusCode::kOk; }
  /// The kind of failure, or `kOk`.
  RESET_HOST_DEVICE constexpr StatusCode code() const noexcept { return code_; }
  /// Name of the offending argument as it stands in the documentation; empty on success.
  RESET_HOST_DEVICE constexpr const char* argument() const noexcept { return argument_; }
  /// What a valid value looks like, or for kCudaError what the error means; empty on success.
  RESET_HOST_DEVICE constexpr const char* expectation() const noexcept { return expectation_; }
  /// The value found, as a number (an integral value is converted).
  RESET_HOST_DEVICE constexpr double value() const noexcept { return is_real_ ? real_ : static_cast<double>(integer_); }

  /// The same outcome with the argument under another name: that of a member in what holds it.
  RESET_HOST_DEVICE constexpr Status named(const char* argument) const noexcept {
    Status renamed = *this;
    renamed.argument_ = argument;
    return renamed;
  }

  /// The same outcome with the number that bounds the value, where the expectation has a name for it; one beyond 32
  /// bits is left out.
  RESET_HOST_DEVICE constexpr Status bounded(std::int64_t bound) const noexcept {
    Status same = *this;
    same.bound_ = static_cast<std::int32_t>(bound);
    same.has_bound_ = same.bound_ == bound;
    return same;
  }

  /// One line: "invalid argument: window is 129, expected 0..128", "invalid argument: slot is 9, expected 0..slots-1
  /// (7)", or "CUDA error: cudaGetDevice returned 100: no CUDA-capable device is detected".
  std::string message() const {
    if (ok()) return "ok";
    // Not std::to_string for reals: it prints 1e-7 as 0.000000. As few digits as tell the float that it mostly was.
    char real[32] = "";
    constexpr double kMost = std::numeric_limits<float>::max();
    for (int digits = 6; is_real_ && digits <= 9; ++digits) {
      std::snprintf(real, sizeof real, "%.*g", digits, real_);
      const bool fits = real_ >= -kMost && real_ <= kMost;
      if (fits && std::strtof(real, nullptr) == static_cast<float>(real_)) break;
    }
    if (code_ == StatusCode::kCudaError) {
      return std::string(kind()) + ": " + argument_ + " returned " + std::to_string(integer_) + ": " + expectation_;
    }
    const char* number = real[0] == '-' && real[1] == 'n' ? real + 1 : real;  // a NaN has no sign that matters
    return std::string(kind()) + ": " + argument_ + " is " + (is_real_ ? number : std::to_string(integer_)) +
           ", expected " + expectation_ + (has_bound_ ? " (" + std::to_string(bound_) + ")" : "");
  }

 private:
  constexpr const char* kind() const noexcept {
    return code_ == StatusCode::kInvalidArgument ? "invalid argument"
           : code_ == StatusCode::kUnsupported   ? "unsupported"
                                                 : "CUDA error";
  }

  const char* argument_;
  const char* expectation_;
  union {
    std::int64_t integer_;
    double real_;
  };
  std::int32_t bound_ = 0;
  StatusCode code_ = StatusCode::kOk;
  bool is_real_ = false;
  bool has_bound_ = false;
};

static_assert(sizeof(Status) <= 32, "launchers return a Status by value; keep it small");

/// What load-time host code throws (files, tokenizers, construction of samplers): the message names file or argument,
/// the value found and what was expected.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  /// The same words a `Status` would print.
  explicit Error(const Status& status) : std::runtime_error(status.message()) {}
};

/// Turns a failed `Status` into an `Error`: for host code that throws on top of functions that do not.
inline void throw_if_failed(const Status& status) {
  if (!status.ok()) throw Error(status);
}

RESET_NAMESPACE_END
