// Tokens and the text behind them, for any vocabulary.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <reset/sampler/boundary/vocabulary.hpp>

#include "config.hpp"

namespace engine {

// The tokens of a text where a vocabulary holds whole symbols: always the longest that fits; special ones are no text.
// Throws reset::Error where none does.
std::vector<std::int32_t> encode_longest(const reset::Vocabulary& vocabulary, std::string_view text);

// The text of a token; empty for special tokens.
std::string_view decode(const reset::Vocabulary& vocabulary, std::int32_t token);

// Columns of the logits that can be sampled: up to the last token that is text or that ends it. Unknown and spare
// tokens behind those were never trained.
std::int32_t sampled_columns(const reset::Vocabulary& vocabulary, const ModelConfig& config);

}  // namespace engine
