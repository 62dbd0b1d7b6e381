// Byte-level BPE: from the bytes of a word to its tokens, by the merges of a tokenizer.json.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <nlohmann/json.hpp>

namespace engine {

class BytePairs {
 public:
  // `model` is that of the file, which messages call `file`. Throws reset::Error for merges that are not pairs of
  // tokens whose join is a token.
  BytePairs(const nlohmann::json& model, const std::string& file);

  // Appends the tokens of a word. Throws reset::Error for a byte that is no token.
  void encode(std::string_view word, std::vector<std::int32_t>& tokens) const;

 private:
  struct Merge {
    std::int32_t rank = 0;  // the lowest goes first
    std::int32_t token = 0;
  };

  void add_merge(const nlohmann::json& merge, std::int32_t rank);
  std::int32_t id_of(const std::string& token, const nlohmann::json& merge, std::int32_t rank) const;
  const Merge* find(std::int32_t left, std::int32_t right) const;

  std::string file_;
  std::unordered_map<std::string, std::int32_t> ids_;  // by the text in the file
  std::array<std::int32_t, 256> bytes_;                // the token of each byte, or -1
  std::unordered_map<std::uint64_t, Merge> merges_;    // by both ids
};

}  // namespace engine
