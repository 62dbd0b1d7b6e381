/// @file
/// Reads from a tokenizer.json what the step-boundary detectors need: the bytes behind every token id.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <reset/io/detail/mapped_file.hpp>
#include <reset/io/detail/token_decoder.hpp>
#include <reset/sampler/boundary/vocabulary.hpp>

RESET_NAMESPACE_BEGIN

/// What a tokenizer.json says of its tokens. It encodes nothing: engines have their own tokenizers.
struct Tokenizer {
  Vocabulary vocabulary;  ///< The bytes of every id; special are the added tokens that the file marks so.
  std::map<std::string, std::int32_t, std::less<>> added_tokens;  ///< Id by text, such as `<think>` or `<|im_end|>`.

  /// The id of an added token by its text, or nothing.
  std::optional<std::int32_t> added_token(std::string_view text) const {
    const auto position = added_tokens.find(text);
    if (position == added_tokens.end()) return std::nullopt;
    return position->second;
  }
};

namespace detail {

/// Fills a `Tokenizer` from the document.
class TokenizerReader {
 public:
  TokenizerReader(const nlohmann::json& root, std::string_view file) : root_(root), file_(file), decoder_(root, file) {}

  Tokenizer read() {
    read_model();
    if (const nlohmann::json* added = find_member(root_, "added_tokens"); added != nullptr && !added->is_null()) {
      if (!added->is_array()) fail(file_, "added_tokens", describe(*added), "a list of tokens");
      for (const nlohmann::json& token : *added) read_added(token);
    }
    if (result_.vocabulary.size() == 0) fail(file_, "vocabulary", "empty", "at least one token");
    return std::move(result_);
  }

 private:
  // Four times the largest vocabulary in use; what an id in a damaged file can make us allocate is bounded.
  static constexpr std::uint64_t kMostTokens = std::uint64_t{1} << 20;

  void read_model() {
    const nlohmann::json* model = find_member(root_, "model");
    if (model == nullptr || !model->is_object())
      fail(file_, "model", model ? describe(*model) : "missing", "an object");
    const std::string type = optional_string(*model, "type", file_);
    // The oldest files of byte-level BPE name no type.
    if (!type.empty() && type != "BPE" && type != "WordLevel")
      fail(file_, "model type", in_quotes(type), "BPE or WordLevel");
    const nlohmann::json* vocab = find_member(*model, "vocab");
    if (vocab == nullptr || !vocab->is_object()) {
      fail(file_, "model vocab", vocab == nullptr ? "missing" : describe(*vocab), "an object of ids");
    }
    for (const auto& [token, id] : vocab->items()) set(checked_id(token, id), token, decoder_.decode(token), false);
  }

  void read_added(const nlohmann::json& token) {
    const std::string content = optional_string(token, "content", file_);
    const nlohmann::json* id = find_member(token, "id");
    if (content.empty() || id == nullptr) fail(file_, "added token", describe(token), "an object with content and id");
    const nlohmann::json* special = find_member(token, "special");
    const std::size_t index = checked_id(content, *id);
    // Added tokens are text as it is, never bytes in disguise. They may repeat a token of the model.
    set(index, content, content, special != nullptr && *special == true);
    if (!result_.added_tokens.emplace(content, static_cast<std::int32_t>(index)).second) {
      fail(file_, "added token " + in_quotes(content), "given twice", "one id a token");
    }
  }

  std::size_t checked_id(const std::string& token, const nlohmann::json& id) const {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= kMostTokens) {
      fail(file_, "id of token " + in_quotes(token), describe(id),
           "an integer in 0.." + std::to_string(kMostTokens - 1));
    }
    return id.get<std::size_t>();
  }

  void set(std::size_t id, const std::string& token, std::string bytes, bool is_special) {
    const auto [position, inserted] = texts_.emplace(id, token);
    // An added token may be the text of what the model writes in another alphabet.
    if (!inserted && position->second != token && result_.vocabulary.bytes[id] != bytes) {
      fail(file_, "id of token " + in_quotes(token), std::to_string(id) + ", the id of " + in_quotes(position->second),
           "an id of its own");
    }
    result_.vocabulary.set(id, std::move(bytes), is_special);
  }

  const nlohmann::json& root_;
  std::string_view file_;
  TokenDecoder decoder_;
  std::unordered_map<std::size_t, std::string> texts_;
  Tokenizer result_;
};

}  // namespace detail

/// Reads the text of a tokenizer.json; messages call it `file`.
///
/// Model BPE or WordLevel. The text of a token is decoded to bytes as the file's decoder, pre-tokenizer or normalizer
/// says: ByteLevel (printable characters for bytes), else Metaspace and Replace by a string, and "<0x0A>" for a byte
/// where there is ByteFallback; else it is literal UTF-8. Added tokens are literal always. Ids may have gaps, which are
/// tokens without bytes. Engines whose logits are wider than the tokenizer call `vocabulary.resize`.
///
/// Throws `Error` for text that is not such a file, and for ids that are negative, 2^20 or more, or given to two
/// tokens of different bytes.
inline Tokenizer parse_tokenizer(std::string_view text, std::string_view file) {
  const nlohmann::json root = detail::parse_python_json(text, file, "merges");
  return detail::TokenizerReader(root, file).read();
}

/// Reads the tokenizer.json at `path`. Throws as `parse_tokenizer` does, and if it is no readable regular file.
inline Tokenizer read_tokenizer(const std::string& path) {
  const detail::MappedFile file(path);
  return parse_tokenizer(std::string_view(file.data(), file.size()), path);
}

RESET_NAMESPACE_END
