/// @file
/// Patterns of module names in the exclusion lists of quantised checkpoints.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <reset/io/convention.hpp>
#include <reset/io/detail/regular_expression.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Whether `text` matches `pattern`, in which * stands for any characters and ? for one; time is bounded by the product
/// of the lengths.
constexpr bool matches_wildcards(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0;
  std::size_t star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  return pattern.substr(p).find_first_not_of('*') == std::string_view::npos;
}

/// One entry of an exclusion list.
///
/// "re:" starts a regular expression that has to match at the start of the name (compressed-tensors); one that is not
/// understood is kept with the reason, since the rest of the checkpoint can be read without it. Otherwise
/// ModelOpt's entries may hold wildcards and name a module or one that contains it; compressed-tensors' name the module
/// itself.
class NamePattern {
 public:
  NamePattern(std::string text, CheckpointConvention convention, std::string_view file)
      : text_(std::move(text)), convention_(convention) {
    if (text_.rfind("re:", 0) != 0) return;
    try {
      expression_.emplace(std::string_view(text_).substr(3), file);
    } catch (const Error& error) {
      refusal_ = error.what();
    }
  }

  const std::string& text() const noexcept { return text_; }

  /// Throws the `Error` that names the expression, if it is one that is not understood.
  void throw_if_not_understood() const {
    if (!refusal_.empty()) throw Error(refusal_);
  }

  /// False for an expression that is not understood.
  bool matches(std::string_view module) const {
    if (!refusal_.empty()) return false;
    if (expression_) return expression_->matches_start_of(module);
    if (convention_ == CheckpointConvention::kCompressedTensors) return text_ == module;
    for (std::size_t end = module.find('.'); end != std::string_view::npos; end = module.find('.', end + 1)) {
      if (matches_wildcards(text_, module.substr(0, end))) return true;
    }
    return matches_wildcards(text_, module);
  }

 private:
  std::string text_;
  CheckpointConvention convention_;
  std::optional<RegularExpression> expression_;
  std::string refusal_;
};

}  // namespace detail
RESET_NAMESPACE_END
