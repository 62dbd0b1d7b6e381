#include "text_encoder.hpp"

#include <cstddef>
#include <fstream>

#include <reset/status.hpp>

#include "text.hpp"
#include "word_split.hpp"

namespace engine {
namespace {

using Json = nlohmann::json;

bool is_type(const Json& part, const char* type) {
  const auto found = part.find("type");
  return found != part.end() && *found == type;
}

// What cuts the text, and what writes bytes as characters: {Split, ByteLevel}, in a Sequence.
bool is_qwen(const Json& pre_tokenizer) {
  if (!pre_tokenizer.is_object() || !is_type(pre_tokenizer, "Sequence")) return false;
  const Json parts = pre_tokenizer.value("pretokenizers", Json::array());
  if (!parts.is_array() || parts.size() != 2 || !is_type(parts[0], "Split") || !is_type(parts[1], "ByteLevel")) {
    return false;
  }
  const Json pattern = parts[0].value("pattern", Json::object());
  return pattern.is_object() && pattern.value("Regex", Json()) == kWordPattern &&
         parts[0].value("behavior", Json()) == "Isolated" && parts[1].value("add_prefix_space", Json()) != true &&
         parts[1].value("use_regex", Json()) == false;
}

}  // namespace

TextEncoder::TextEncoder(const std::string& path, const reset::Tokenizer& tokenizer)
    : vocabulary_(tokenizer.vocabulary), added_(tokenizer.added_tokens.begin(), tokenizer.added_tokens.end()) {
  std::ifstream file(path);
  const Json json = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw reset::Error(path + ": not valid JSON, expected a tokenizer.json");
  const Json& model = json.at("model");
  const auto merges = model.find("merges");
  if (merges == model.end() || merges->empty()) return;
  const Json pre_tokenizer = json.value("pre_tokenizer", Json());
  if (!is_qwen(pre_tokenizer)) {
    throw reset::Error(path + ": pre_tokenizer is " + pre_tokenizer.dump().substr(0, 200) +
                       ", expected the word pattern of Qwen2 and Qwen3, then ByteLevel");
  }
  pairs_.emplace(model, path);
}

std::vector<std::int32_t> TextEncoder::encode(std::string_view text) const {
  std::vector<std::int32_t> tokens;
  std::size_t plain = 0;  // where the text since the last added token begins
  for (std::size_t at = 0; at < text.size();) {
    const auto [content, id] = added_at(text.substr(at));
    if (content.empty()) {
      ++at;
      continue;
    }
    encode_plain(text.substr(plain, at - plain), tokens);
    tokens.push_back(id);
    at += content.size();
    plain = at;
  }
  encode_plain(text.substr(plain), tokens);
  return tokens;
}

// The longest added token that `text` begins with.
std::pair<std::string_view, std::int32_t> TextEncoder::added_at(std::string_view text) const {
  std::pair<std::string_view, std::int32_t> longest;
  for (const auto& [content, id] : added_) {
    if (content.size() > longest.first.size() && text.substr(0, content.size()) == content) longest = {content, id};
  }
  return longest;
}

void TextEncoder::encode_plain(std::string_view text, std::vector<std::int32_t>& tokens) const {
  if (pairs_) {
    for (const std::string_view word : split_words(text)) pairs_->encode(word, tokens);
    return;
  }
  const std::vector<std::int32_t> symbols = encode_longest(vocabulary_, text);
  tokens.insert(tokens.end(), symbols.begin(), symbols.end());
}

}  // namespace engine
