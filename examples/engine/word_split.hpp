// Where the tokenizers of Qwen2 and Qwen3 cut a text before they look for tokens.
#pragma once

#include <string_view>
#include <vector>

namespace engine {

// The expression in their files. Whichever alternative matches first is taken, from one cut to the next.
inline constexpr std::string_view kWordPattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

// The pieces of `text`, which joined give it again.
std::vector<std::string_view> split_words(std::string_view text);

}  // namespace engine
