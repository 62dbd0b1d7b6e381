/// @file
/// From an automaton over bytes to one over the tokens of a vocabulary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include <reset/sampler/boundary/detail/byte_automaton.hpp>
#include <reset/sampler/boundary/vocabulary.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// An automaton over tokens. Tokens that do the same in every state share a class, of which there are few: most tokens
/// hold no byte of a delimiter.
struct TokenAutomaton {
  std::size_t states = 0;
  std::size_t classes = 0;
  std::vector<std::uint16_t> transitions;  ///< [class][state]: next state * 2 + (1 if it fires anywhere inside).
  std::vector<std::uint16_t> class_of;     ///< By token id.
};

/// Fills `column` with what `text` does from each state.
inline void run_token(const ByteAutomaton& automaton, const std::string& text, std::vector<std::uint16_t>& column) {
  for (std::size_t state = 0; state < column.size(); ++state) {
    std::size_t node = state;
    unsigned fires = 0;
    for (const char c : text) {
      const unsigned entry = automaton.rows[node][static_cast<unsigned char>(c)];
      node = entry >> 1;
      fires |= entry & 1;
    }
    column[state] = static_cast<std::uint16_t>(node << 1 | fires);
  }
}

/// Runs every token through `automaton`. A special token is no text: it leads to the start, and fires nowhere. Throws
/// `Error` if the vocabulary is not valid, or holds more than 65,535 classes of tokens.
inline TokenAutomaton make_token_automaton(const ByteAutomaton& automaton, const Vocabulary& vocabulary) {
  throw_if_failed(vocabulary.validate());
  TokenAutomaton result;
  result.states = automaton.rows.size();
  result.class_of.reserve(vocabulary.size());
  std::unordered_map<std::string, std::uint16_t> known;
  std::vector<std::uint16_t> column(result.states);
  for (std::size_t id = 0; id < vocabulary.size(); ++id) {
    column.assign(result.states, 0);
    if (vocabulary.special[id] == 0) run_token(automaton, vocabulary.bytes[id], column);
    const auto [position, is_new] = known.try_emplace(bytes_of(column), static_cast<std::uint16_t>(known.size()));
    if (is_new) result.transitions.insert(result.transitions.end(), column.begin(), column.end());
    if (known.size() > 0xffff) {
      throw Error(Status(StatusCode::kInvalidArgument, "number of token classes", known.size(), "65535 or fewer"));
    }
    result.class_of.push_back(position->second);
  }
  result.classes = known.size();
  return result;
}

}  // namespace detail
RESET_NAMESPACE_END
