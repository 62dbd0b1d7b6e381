/// @file
/// How the files of tokenizers write bytes as printable characters.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <reset/config.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

inline constexpr std::size_t kByteLevelCharacters = 0x144;  // The last character in use is U+0143.

/// Byte by code point, or -1, as byte-level BPE has it since GPT-2: the bytes 21-7E, A1-AC and AE-FF stand for
/// themselves, the other 68, in order, for U+0100 and the characters after it.
constexpr std::array<std::int16_t, kByteLevelCharacters> make_byte_level_table() {
  std::array<std::int16_t, kByteLevelCharacters> table{};
  for (std::int16_t& byte : table) byte = -1;
  std::size_t next = 0x100;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    table[printable ? byte : next++] = static_cast<std::int16_t>(byte);
  }
  return table;
}

inline constexpr std::array<std::int16_t, kByteLevelCharacters> kByteLevelTable = make_byte_level_table();

/// The bytes that `text` (UTF-8, valid) stands for. A text with any character outside the table stands for itself.
inline std::string decode_byte_level(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::uint32_t character = static_cast<std::uint8_t>(text[i]);
    if (character >= 0x80) {
      // The table ends below U+0800, so a longer sequence is outside of it.
      if (character >= 0xe0 || i + 1 >= text.size()) return std::string(text);
      character = (character & 0x1f) << 6 | (static_cast<std::uint8_t>(text[++i]) & 0x3f);
    }
    if (character >= kByteLevelCharacters || kByteLevelTable[character] < 0) return std::string(text);
    bytes += static_cast<char>(kByteLevelTable[character]);
  }
  return bytes;
}

/// The byte of a fallback token such as "<0x0A>", or nothing.
inline std::optional<char> decode_byte_fallback(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return std::nullopt;
  int byte = 0;
  for (const char c : text.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    byte = byte * 16 + digit;
  }
  return static_cast<char>(byte);
}

}  // namespace detail
RESET_NAMESPACE_END
