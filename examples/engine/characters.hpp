// Text as characters, and what kind each is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace engine {

enum class CharacterKind {
  kLetter,  // \p{L}
  kNumber,  // \p{N}
  kSpace,   // \s, line ends too
  kOther,   // everything else, and bytes that are no UTF-8
};

struct Character {
  std::uint32_t code = 0;  // the code point, or the byte that is none
  std::size_t bytes = 0;   // how many it takes in the text; 0 at its end
  CharacterKind kind = CharacterKind::kOther;

  bool is_line_end() const { return bytes == 1 && (code == '\n' || code == '\r'); }
};

// The character that begins at byte `at` of a UTF-8 text.
Character character_at(std::string_view text, std::size_t at);

}  // namespace engine
