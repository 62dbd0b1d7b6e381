#include "stream.hpp"

#include <algorithm>
#include <cstdio>

#include "text.hpp"

namespace generate {
namespace {

using console::Colour;

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

std::size_t whole_characters(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<std::uint8_t>(text[text.size() - back]);
    if ((byte & 0xc0U) == 0x80) continue;  // in the middle of a character
    const std::size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? text.size() - back : text.size();
  }
  return text.size();
}

std::string without_controls(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    if ((byte >= 0x20 && byte != 0x7f) || c == '\n' || c == '\t') {
      result += c;
      continue;
    }
    char code[8];
    std::snprintf(code, sizeof code, "\\x%02x", byte);
    result += code;
  }
  return result;
}

Stream::Stream(const console::Terminal& terminal, const reset::Vocabulary& vocabulary, std::size_t sequences,
               std::uint64_t seed)
    : terminal_(terminal), vocabulary_(vocabulary), seed_(seed), sequences_(sequences) {
  for (std::size_t i = 0; sequences > 1 && i < sequences; ++i) {
    const std::string line = "--- " + std::to_string(i + 1) + " of " + std::to_string(sequences) + ", seed " +
                             std::to_string(seed_ + i) + " ---";
    sequences_[i].shown = terminal_.paint(Colour::kFaint, line) + "\n";
  }
  write();
}

void Stream::token(std::size_t sequence, const reset::SampledToken& sampled) {
  append(sequences_[sequence], sampled, engine::decode(vocabulary_, sampled.token));
  write();
}

void Stream::append(Sequence& sequence, const reset::SampledToken& sampled, std::string_view text) const {
  const bool uncertain = sampled.active && sampled.policy.uncertain;
  if (sampled.boundary) {
    ++sequence.steps;
    if (terminal_.colours()) {
      sequence.shown += terminal_.paint(Colour::kFaint, "[" + std::to_string(sequence.steps) + "] ");
      if (uncertain) sequence.shown += terminal_.paint(Colour::kHigh, "▲ ");
    }
  }
  sequence.text += text;
  const std::size_t whole = whole_characters(sequence.text);
  std::string part = sequence.text.substr(0, whole);
  sequence.text.erase(0, whole);
  if (terminal_.interactive()) part = without_controls(part);
  if (sampled.active) {
    part = terminal_.paint(sampled.policy.high ? Colour::kHigh : Colour::kLow, part, uncertain);
  }
  sequence.shown += part;
}

void Stream::end(std::size_t sequence) {
  Sequence& ended = sequences_[sequence];
  ended.shown += ended.text + "\n";
  ended.text.clear();
  ended.ended = true;
  write();
}

void Stream::write() {
  while (current_ < sequences_.size()) {
    Sequence& sequence = sequences_[current_];
    print(sequence.shown);
    sequence.shown.clear();
    if (!sequence.ended) return;
    ++current_;
  }
}

}  // namespace generate
