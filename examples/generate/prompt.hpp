// The prompt as tokens.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <reset/io/tokenizer.hpp>

#include "config.hpp"
#include "options.hpp"

namespace generate {

struct Prompt {
  std::string text;  // as given: the text, or the ids
  std::vector<std::int32_t> tokens;
};

// Text gets the `bos_token` of tokenizer_config.json before it if that file says so (`add_bos_token`) and it does not
// begin with it already. Throws reset::Error for a file that cannot be read, text that the tokenizer cannot write,
// tokens that the model does not have, and an empty prompt.
Prompt read_prompt(const Options& options, const reset::Tokenizer& tokenizer, const engine::ModelConfig& config);

}  // namespace generate
