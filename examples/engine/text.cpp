#include "text.hpp"

#include <reset/status.hpp>

namespace engine {

std::vector<std::int32_t> encode_longest(const reset::Vocabulary& vocabulary, std::string_view text) {
  std::vector<std::int32_t> tokens;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t longest = 0;
    std::int32_t best = -1;
    for (std::size_t id = 0; id < vocabulary.size(); ++id) {
      const std::string& bytes = vocabulary.bytes[id];
      if (vocabulary.special[id] != 0 || bytes.size() <= longest) continue;
      if (text.substr(at, bytes.size()) != bytes) continue;
      longest = bytes.size();
      best = static_cast<std::int32_t>(id);
    }
    if (best < 0) {
      throw reset::Error("the text \"" + std::string(text) + "\" has no token at byte " + std::to_string(at) +
                         ", expected only symbols of the model's vocabulary");
    }
    tokens.push_back(best);
    at += longest;
  }
  return tokens;
}

std::string_view decode(const reset::Vocabulary& vocabulary, std::int32_t token) {
  const auto id = static_cast<std::size_t>(token);
  if (token < 0 || id >= vocabulary.size() || vocabulary.special[id] != 0) return {};
  return vocabulary.bytes[id];
}

std::int32_t sampled_columns(const reset::Vocabulary& vocabulary, const ModelConfig& config) {
  std::int32_t columns = 1;
  for (std::int32_t id = 0; id < static_cast<std::int32_t>(config.vocab_size); ++id) {
    if (config.is_eos(id) || !decode(vocabulary, id).empty()) columns = id + 1;
  }
  return columns;
}

}  // namespace engine
