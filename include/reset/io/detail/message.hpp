/// @file
/// How the readers of files word their errors: file, what, finding, expectation.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// At most `longest` bytes of `text`, everything but printable ASCII escaped: what a malformed file holds can be
/// anything.
inline std::string printable(std::string_view text, std::size_t longest) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string result;
  for (const char c : text.substr(0, longest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) {
      result += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      result += c;
    }
  }
  return text.size() > longest ? result + "..." : result;
}

/// `text` in quotation marks, fit for a message.
inline std::string in_quotes(std::string_view text) { return "\"" + printable(text, 160) + "\""; }

/// A shape, or another short list of numbers, as "[4096, 2048]".
inline std::string shape_text(const std::vector<std::int64_t>& shape) {
  constexpr std::size_t kLongest = 8;
  std::string text = "[";
  for (std::size_t i = 0; i < std::min(shape.size(), kLongest); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  return text + (shape.size() > kLongest ? ", ... (" + std::to_string(shape.size()) + " numbers)]" : "]");
}

/// "tensor "name"", as the errors name one.
inline std::string tensor_named(std::string_view name) { return "tensor " + in_quotes(name); }

/// Throws "file: what is found, expected expectation".
[[noreturn]] inline void fail(std::string_view file, std::string_view what, std::string_view found,
                              std::string_view expectation) {
  std::string message;
  message.append(file).append(": ").append(what).append(" is ").append(found);
  message.append(", expected ").append(expectation);
  throw Error(message);
}

}  // namespace detail
RESET_NAMESPACE_END
