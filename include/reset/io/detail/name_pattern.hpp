/// @file
/// Patterns of module names in the exclusion lists of quantised checkpoints.
#pragma once

#include <cstddef>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <utility>

#include <reset/io/convention.hpp>
#include <reset/io/detail/message.hpp>

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
/// "re:" starts a regular expression that has to match at the start of the name (compressed-tensors). Otherwise
/// ModelOpt's entries may hold wildcards and name a module or one that contains it; compressed-tensors' name the module
/// itself.
class NamePattern {
 public:
  NamePattern(std::string text, CheckpointConvention convention, std::string_view file)
      : text_(std::move(text)), convention_(convention) {
    if (text_.rfind("re:", 0) == 0) regex_ = compile(text_.substr(3), file);
  }

  const std::string& text() const noexcept { return text_; }

  bool matches(std::string_view module) const {
    if (regex_) {
      return std::regex_search(module.begin(), module.end(), *regex_, std::regex_constants::match_continuous);
    }
    if (convention_ == CheckpointConvention::kCompressedTensors) return text_ == module;
    for (std::size_t end = module.find('.'); end != std::string_view::npos; end = module.find('.', end + 1)) {
      if (matches_wildcards(text_, module.substr(0, end))) return true;
    }
    return matches_wildcards(text_, module);
  }

 private:
  // A checkpoint must not be able to hang or upset its reader: what could take more than polynomial time or explode
  // when compiled is refused, and escapes that are numbers, which libstdc++ reads without a bound. No list in use has
  // them.
  static std::regex compile(const std::string& pattern, std::string_view file) {
    const std::string what = "exclusion " + in_quotes("re:" + pattern);
    if (pattern.size() > 256) fail(file, what, std::to_string(pattern.size()) + " characters", "at most 256");
    bool supported = pattern.find('{') == std::string::npos && pattern.find("(?") == std::string::npos;
    for (std::size_t i = 0; i + 1 < pattern.size(); ++i) {
      if (pattern[i] == '\\') supported = supported && is_plain_escape(pattern[++i]);
    }
    if (!supported) {
      fail(file, what, "unsupported",
           "a regular expression without {...}, (?...) and escapes but of punctuation, d, s, w");
    }
    auto flags = std::regex_constants::ECMAScript | std::regex_constants::nosubs;
#if defined(__GLIBCXX__)
    flags |= std::regex_constants::__polynomial;
#endif
    try {
      return std::regex(pattern, flags);
    } catch (const std::regex_error& error) {
      fail(file, what, std::string("not understood (") + error.what() + ")", "a regular expression");
    }
  }

  static bool is_plain_escape(char c) {
    return std::string_view(".-+*?|()[]/^$\\dDsSwW").find(c) != std::string_view::npos;
  }

  std::string text_;
  CheckpointConvention convention_;
  std::optional<std::regex> regex_;
};

}  // namespace detail
RESET_NAMESPACE_END
