#include "characters.hpp"

#include <algorithm>
#include <iterator>

#include "character_ranges.hpp"

namespace engine {
namespace {

template <std::size_t Count>
bool contains(const CharacterRange (&ranges)[Count], std::uint32_t code) {
  const auto* range = std::lower_bound(std::begin(ranges), std::end(ranges), code,
                                       [](const CharacterRange& r, std::uint32_t c) { return r.last < c; });
  return range != std::end(ranges) && range->first <= code;
}

bool is_space(std::uint32_t code) {
  return (code >= 0x09 && code <= 0x0d) || code == 0x20 || code == 0x85 || code == 0xa0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f ||
         code == 0x3000;
}

CharacterKind kind_of(std::uint32_t code) {
  if (is_space(code)) return CharacterKind::kSpace;
  if (code >= 0x80) {
    if (contains(kLetters, code)) return CharacterKind::kLetter;
    return contains(kNumbers, code) ? CharacterKind::kNumber : CharacterKind::kOther;
  }
  const std::uint32_t lower = code | 0x20U;
  if (lower >= 'a' && lower <= 'z') return CharacterKind::kLetter;
  return code >= '0' && code <= '9' ? CharacterKind::kNumber : CharacterKind::kOther;
}

// Bytes of the character that the byte begins; 0 if it begins none.
std::size_t length_of(std::uint8_t first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

}  // namespace

Character character_at(std::string_view text, std::size_t at) {
  if (at >= text.size()) return {};
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[at + i]); };
  const std::size_t length = length_of(byte(0));
  std::uint32_t code = length < 2 ? byte(0) : byte(0) & (0xffU >> (length + 1));
  bool whole = length > 0 && at + length <= text.size();
  for (std::size_t i = 1; whole && i < length; ++i) {
    whole = (byte(i) & 0xc0U) == 0x80;
    code = code << 6 | (byte(i) & 0x3fU);
  }
  if (!whole) return {byte(0), 1, CharacterKind::kOther};
  return {code, length, kind_of(code)};
}

}  // namespace engine
