// Text to tokens and back for a vocabulary of whole symbols.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <reset/sampler/boundary/vocabulary.hpp>

namespace reasoner {

// Always takes the longest token that fits. Throws reset::Error where none does.
std::vector<std::int32_t> encode(const reset::Vocabulary& vocabulary, std::string_view text);

// The text of a token; empty for special tokens, which are no text.
std::string_view decode(const reset::Vocabulary& vocabulary, std::int32_t token);

}  // namespace reasoner
