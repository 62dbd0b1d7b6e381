/// @file
/// From the text of a token in a tokenizer.json to the bytes it stands for.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reset/io/detail/byte_level.hpp>
#include <reset/io/detail/json.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// What `decoder`, `pre_tokenizer` and `normalizer` of a tokenizer.json mean for a single token. Steps that look at
/// more than one token, such as stripping the first space of a text, are not its business.
class TokenDecoder {
 public:
  TokenDecoder(const nlohmann::json& root, std::string_view file) : file_(file) {
    if (const nlohmann::json* decoder = find_member(root, "decoder")) add(*decoder, "decoders");
    if (const nlohmann::json* splitter = find_member(root, "pre_tokenizer")) add(*splitter, "pretokenizers");
    const nlohmann::json* normalizer = find_member(root, "normalizer");
    byte_level_ = byte_level_ || (normalizer != nullptr && writes_byte_level(*normalizer));
    const nlohmann::json* model = find_member(root, "model");
    const nlohmann::json* fallback = model == nullptr ? nullptr : find_member(*model, "byte_fallback");
    byte_fallback_ = byte_fallback_ || (fallback != nullptr && *fallback == true);
  }

  std::string decode(const std::string& token) const {
    if (byte_level_) return decode_byte_level(token);
    if (byte_fallback_) {
      if (const std::optional<char> byte = decode_byte_fallback(token)) return std::string(1, *byte);
    }
    std::string text = token;
    for (const auto& [from, to] : replacements_) replace_all(text, from, to);
    return text;
  }

 private:
  void add(const nlohmann::json& step, const char* members) {
    const std::string type = optional_string(step, "type", file_);
    if (type == "Sequence") {
      const nlohmann::json* steps = find_member(step, members);
      if (steps == nullptr || !steps->is_array()) fail(file_, members, "missing", "the list of a Sequence");
      // The parser stops at 64 levels, so this recursion is shallow.
      for (const nlohmann::json& inner : *steps) add(inner, members);
    } else if (type == "ByteLevel") {
      byte_level_ = true;
    } else if (type == "ByteFallback") {
      byte_fallback_ = true;
    } else if (type == "Metaspace") {
      const std::string mark = optional_string(step, "replacement", file_);
      add_replacement(mark.empty() ? "\xe2\x96\x81" : mark, " ");
    } else if (type == "Replace") {
      const nlohmann::json* pattern = find_member(step, "pattern");
      if (pattern != nullptr)
        add_replacement(optional_string(*pattern, "String", file_), optional_string(step, "content", file_));
    }
  }

  // All that matters of a normalizer: its other steps change the text before it is split, so they have no inverse.
  bool writes_byte_level(const nlohmann::json& normalizer) const {
    const std::string type = optional_string(normalizer, "type", file_);
    const nlohmann::json* steps = type == "Sequence" ? find_member(normalizer, "normalizers") : nullptr;
    if (steps == nullptr || !steps->is_array()) return type == "ByteLevel";
    return std::any_of(steps->begin(), steps->end(),
                       [this](const nlohmann::json& step) { return writes_byte_level(step); });
  }

  void add_replacement(std::string from, std::string to) {
    // Metaspace stands in the decoder and in the pre-tokenizer; the second time it would find nothing to replace.
    if (!from.empty()) replacements_.emplace_back(std::move(from), std::move(to));
  }

  void replace_all(std::string& text, const std::string& from, const std::string& to) const {
    // A handful of steps could make gigabytes of a letter.
    constexpr std::size_t kLongest = 1 << 16;
    std::string result;
    std::size_t begin = 0;
    for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, begin)) {
      result.append(text, begin, at - begin).append(to);
      begin = at + from.size();
      if (result.size() > kLongest) fail(file_, "decoded token " + in_quotes(result), "growing", "at most 65536 bytes");
    }
    if (begin > 0) text = result.append(text, begin);
  }

  std::string_view file_;
  bool byte_level_ = false;
  bool byte_fallback_ = false;
  std::vector<std::pair<std::string, std::string>> replacements_;
};

}  // namespace detail
RESET_NAMESPACE_END
