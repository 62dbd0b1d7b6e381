#include "word_split.hpp"

#include <cstddef>
#include <string>

#include "characters.hpp"

namespace engine {
namespace {

using Kind = CharacterKind;

// Each function matches one alternative at byte `at` and returns the byte behind it, or `at` if it does not match.

// (?i:'s|'t|'re|'ve|'m|'ll|'d)
std::size_t contraction(std::string_view text, std::size_t at) {
  if (text[at] != '\'') return at;
  std::string after(text.substr(at + 1, 2));
  for (char& c : after) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  if (!after.empty() && std::string_view("stmd").find(after[0]) != std::string_view::npos) return at + 2;
  return after == "re" || after == "ve" || after == "ll" ? at + 3 : at;
}

std::size_t run_of(std::string_view text, std::size_t at, Kind kind) {
  for (Character c = character_at(text, at); c.bytes > 0 && c.kind == kind; c = character_at(text, at)) at += c.bytes;
  return at;
}

// [^\r\n\p{L}\p{N}]?\p{L}+
std::size_t letters(std::string_view text, std::size_t at) {
  const Character first = character_at(text, at);
  if (first.kind == Kind::kNumber || first.is_line_end()) return at;
  const std::size_t begin = first.kind == Kind::kLetter ? at : at + first.bytes;
  const std::size_t end = run_of(text, begin, Kind::kLetter);
  return end > begin ? end : at;
}

//  ?[^\s\p{L}\p{N}]+[\r\n]*
std::size_t symbols(std::string_view text, std::size_t at) {
  const std::size_t begin = text[at] == ' ' ? at + 1 : at;
  std::size_t end = run_of(text, begin, Kind::kOther);
  if (end == begin) return at;
  while (end < text.size() && (text[end] == '\n' || text[end] == '\r')) ++end;
  return end;
}

// \s*[\r\n]+|\s+(?!\S)|\s+
std::size_t spaces(std::string_view text, std::size_t at) {
  std::size_t end = at;
  std::size_t last = at;  // where the last character of the run begins
  std::size_t line_end = at;
  for (Character c = character_at(text, at); c.bytes > 0 && c.kind == Kind::kSpace; c = character_at(text, end)) {
    last = end;
    end += c.bytes;
    if (c.is_line_end()) line_end = end;
  }
  if (line_end > at) return line_end;
  return end < text.size() && last > at ? last : end;  // the last one goes with the word behind it
}

std::size_t word_end(std::string_view text, std::size_t at) {
  for (const auto alternative : {contraction, letters}) {
    if (const std::size_t end = alternative(text, at); end > at) return end;
  }
  const Character first = character_at(text, at);
  if (first.kind == Kind::kNumber) return at + first.bytes;
  if (const std::size_t end = symbols(text, at); end > at) return end;
  return spaces(text, at);
}

}  // namespace

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = word_end(text, at);
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

}  // namespace engine
