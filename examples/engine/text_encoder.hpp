// Text to tokens, as the tokenizer.json of a model says: byte-level BPE with the word pattern of Qwen2 and Qwen3
// (R1-Distill-Qwen has it, too), or a list of whole symbols.
//
// Left out: the normalisation (NFC). Text that is composed already, as keyboards and editors give it, is not changed by
// it. Of the added tokens the flags `lstrip`, `rstrip` and `single_word` are not looked at; those models set none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reset/io/tokenizer.hpp>

#include "byte_pairs.hpp"

namespace engine {

class TextEncoder {
 public:
  // Reads the file at `path`, of which `tokenizer` was read, too. Throws reset::Error for one that cuts text in another
  // way.
  TextEncoder(const std::string& path, const reset::Tokenizer& tokenizer);

  // The tokens of `text`. Added tokens ("<|im_start|>") are found in it and stand for themselves. Throws reset::Error
  // for text that the vocabulary cannot write.
  std::vector<std::int32_t> encode(std::string_view text) const;

 private:
  std::pair<std::string_view, std::int32_t> added_at(std::string_view text) const;
  void encode_plain(std::string_view text, std::vector<std::int32_t>& tokens) const;

  reset::Vocabulary vocabulary_;
  std::vector<std::pair<std::string, std::int32_t>> added_;
  std::optional<BytePairs> pairs_;  // none: a list of whole symbols
};

}  // namespace engine
