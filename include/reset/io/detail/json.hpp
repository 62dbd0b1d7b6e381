/// @file
/// JSON from files that nobody vouches for: nlohmann-json's parser behind stricter rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reset/io/detail/message.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Builds the document while it is parsed; refuses a key that occurs twice and nesting deeper than any file needs
/// (whoever walks the document afterwards may recurse), and leaves null in the place of what it is told to skip.
class StrictJsonBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  using Json = nlohmann::json;

  StrictJsonBuilder(std::string_view file, std::string_view skipped_key) : file_(file), skipped_key_(skipped_key) {}

  Json take() { return std::move(root_); }

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(number_integer_t value) override { return scalar(value); }
  bool number_unsigned(number_unsigned_t value) override { return scalar(value); }
  bool number_float(number_float_t value, const string_t&) override { return scalar(value); }
  bool string(string_t& value) override { return scalar(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    if (skipped_depth_ > 0) return true;
    // Only there: a token of the vocabulary may have the same name.
    skip_next_ = stack_.size() == kSkippedLevel && name == skipped_key_;
    auto& object = stack_.back()->get_ref<Json::object_t&>();
    const auto [position, inserted] = object.emplace(std::move(name), nullptr);
    if (!inserted) fail(file_, "JSON key " + in_quotes(position->first), "given twice", "one value a key");
    member_ = &position->second;
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const Json::exception& error) override {
    // The library's message may quote a token as long as the file.
    fail(file_, "content", "not JSON (" + printable(error.what(), 240) + ")", "a JSON document");
  }

 private:
  static constexpr std::size_t kDeepest = 64;
  static constexpr std::size_t kSkippedLevel = 2;

  template <class Value>
  bool scalar(Value&& value) {
    if (skipped_depth_ == 0 && !std::exchange(skip_next_, false)) place(Json(std::forward<Value>(value)));
    return true;
  }

  bool open(Json container) {
    if (stack_.size() + skipped_depth_ >= kDeepest) {
      fail(file_, "JSON nesting", "deeper than 64 levels", "at most 64 levels");
    }
    if (skipped_depth_ > 0 || std::exchange(skip_next_, false)) {
      ++skipped_depth_;
    } else {
      stack_.push_back(place(std::move(container)));
    }
    return true;
  }

  bool close() {
    if (skipped_depth_ > 0) {
      --skipped_depth_;
    } else {
      stack_.pop_back();
    }
    return true;
  }

  // The containers on the stack stay where they are: only the innermost one grows.
  Json* place(Json&& value) {
    if (stack_.empty()) return &(root_ = std::move(value));
    if (!stack_.back()->is_array()) return &(*member_ = std::move(value));
    return &stack_.back()->get_ref<Json::array_t&>().emplace_back(std::move(value));
  }

  std::string_view file_;
  std::string_view skipped_key_;
  Json root_;
  std::vector<Json*> stack_;
  Json* member_ = nullptr;
  std::size_t skipped_depth_ = 0;
  bool skip_next_ = false;
};

/// The document in `text`. Members `skipped_key` of the objects in the root object are null (the merges of a tokenizer
/// are most of its file). Throws `Error` in the name of `file`.
inline nlohmann::json parse_json(std::string_view text, std::string_view file, std::string_view skipped_key = {}) {
  // The parser takes a NUL for the end of the text, and would not look at what follows it.
  if (!text.empty() && std::memchr(text.data(), 0, text.size()) != nullptr) {
    fail(file, "content", "not JSON (it holds a NUL byte)", "a JSON document");
  }
  StrictJsonBuilder builder(file, skipped_key);
  nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

/// `text` with null in the place of the bare NaN, Infinity and -Infinity outside of strings.
inline std::string without_bare_numbers(std::string_view text) {
  const auto in_token = [text](std::size_t at) {
    constexpr std::string_view kOthers = "_+-.";
    if (at >= text.size()) return false;
    const char c = text[at];
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return is_letter || (c >= '0' && c <= '9') || kOthers.find(c) != std::string_view::npos;
  };
  const auto length_at = [&](std::size_t at) -> std::size_t {
    for (const std::string_view word : {"NaN", "Infinity", "-Infinity"}) {
      if (text.substr(at, word.size()) == word && !in_token(at + word.size())) return word.size();
    }
    return 0;
  };
  std::string result;
  result.reserve(text.size());
  bool in_string = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const std::size_t length = in_string || (at > 0 && in_token(at - 1)) ? 0 : length_at(at);
    if (length > 0) {
      result += "null";
      at += length - 1;
      continue;
    }
    if (text[at] == '"') in_string = !in_string;
    result += text[at];
    if (in_string && text[at] == '\\' && at + 1 < text.size()) result += text[++at];
  }
  return result;
}

/// As `parse_json`, for files that Python's json module writes: it knows the numbers that JSON lacks, and the readers
/// here have no use for any of them.
inline nlohmann::json parse_python_json(std::string_view text, std::string_view file,
                                        std::string_view skipped_key = {}) {
  return parse_json(without_bare_numbers(text), file, skipped_key);
}

/// The member `key` of an object, or null if there is none or `object` is none.
inline const nlohmann::json* find_member(const nlohmann::json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto member = object.find(key);
  return member == object.end() ? nullptr : &*member;
}

/// A few words about a value for a message: its kind, and the value itself where that is short.
inline std::string describe(const nlohmann::json& value) {
  if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
  if (value.is_structured()) return std::string(value.type_name()) + " of " + std::to_string(value.size());
  return value.dump();
}

/// The string behind `key`, or an empty one if there is none (or a null); anything else is an error.
inline std::string optional_string(const nlohmann::json& object, const char* key, std::string_view file) {
  const nlohmann::json* value = find_member(object, key);
  if (value == nullptr || value->is_null()) return {};
  if (!value->is_string()) fail(file, key, describe(*value), "a string");
  return value->get<std::string>();
}

}  // namespace detail
RESET_NAMESPACE_END
