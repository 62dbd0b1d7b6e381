/// @file
/// From a list of byte strings to the smallest automaton that tells where one of them ends.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// A deterministic automaton over bytes that fires on transitions (a Mealy machine). State 0 is the start.
struct ByteAutomaton {
  using Row = std::array<std::uint16_t, 256>;  ///< By byte: next state * 2 + (1 if it fires).
  std::vector<Row> rows;                       ///< By state.
};

/// More states than this are refused: a longer list of delimiters is a mistake, not a rule for steps.
inline constexpr std::size_t kMaxDelimiterStates = 1024;

/// The trie of the delimiters while it grows into an Aho-Corasick automaton. Children are 0 where there is none: the
/// root is nobody's child.
struct DelimiterTrie {
  std::vector<std::array<std::uint16_t, 256>> children = {{}};
  std::vector<std::uint8_t> ends = {0};  ///< Whether a delimiter ends in the node.

  void insert(const std::string& delimiter) {
    std::size_t node = 0;
    for (const char c : delimiter) {
      const auto byte = static_cast<unsigned char>(c);
      if (children[node][byte] == 0) {
        if (children.size() == kMaxDelimiterStates) {
          throw Error(Status(StatusCode::kInvalidArgument, "number of distinct prefixes of the delimiters",
                             kMaxDelimiterStates + 1, "1024 or fewer"));
        }
        children[node][byte] = static_cast<std::uint16_t>(children.size());
        children.emplace_back();
        ends.push_back(0);
      }
      node = children[node][byte];
    }
    ends[node] = 1;
  }

  // Breadth first, so that the shorter suffix a node falls back to is complete before the node itself is.
  void complete() {
    std::vector<std::uint16_t> fallback(children.size(), 0);
    std::vector<std::uint16_t> queue;
    for (const std::uint16_t child : children[0]) {
      if (child != 0) queue.push_back(child);
    }
    for (std::size_t head = 0; head < queue.size(); ++head) {
      const std::uint16_t node = queue[head];
      ends[node] |= ends[fallback[node]];
      for (std::size_t byte = 0; byte < 256; ++byte) {
        const std::uint16_t shorter = children[fallback[node]][byte];
        std::uint16_t& child = children[node][byte];
        if (child == 0) {
          child = shorter;
        } else {
          fallback[child] = shorter;
          queue.push_back(child);
        }
      }
    }
  }
};

/// The entries as a key to look them up by.
template <class Entries>
std::string bytes_of(const Entries& entries) {
  return std::string(reinterpret_cast<const char*>(entries.data()), entries.size() * sizeof(entries[0]));
}

/// Merges the states that no continuation can tell apart (Moore's partition refinement); the start stays state 0.
/// Firing on transitions makes the end of "\n\n" the same state as "\n", and "Wait" the same as "wait".
inline ByteAutomaton minimized(const ByteAutomaton& automaton) {
  const std::size_t states = automaton.rows.size();
  std::vector<std::uint16_t> block_of(states, 0);
  for (std::size_t known = 1;;) {
    std::unordered_map<std::string, std::uint16_t> blocks;
    std::vector<std::uint16_t> refined(states);
    ByteAutomaton result;
    for (std::size_t state = 0; state < states; ++state) {
      ByteAutomaton::Row row = automaton.rows[state];
      for (std::uint16_t& entry : row) entry = static_cast<std::uint16_t>(block_of[entry >> 1] << 1 | (entry & 1));
      const auto [position, is_new] = blocks.try_emplace(bytes_of(row), static_cast<std::uint16_t>(blocks.size()));
      if (is_new) result.rows.push_back(row);
      refined[state] = position->second;
    }
    // Blocks are numbered by first appearance, so a partition that did not grow is the very same numbering.
    if (result.rows.size() == known) return result;
    known = result.rows.size();
    block_of = refined;
  }
}

/// The automaton that fires at every byte where one of `delimiters` ends. Throws `Error` if there are none, one is
/// empty, or they have too many prefixes.
inline ByteAutomaton make_byte_automaton(const std::vector<std::string>& delimiters) {
  if (delimiters.empty()) {
    throw Error(Status(StatusCode::kInvalidArgument, "delimiters.size()", 0, "at least one delimiter"));
  }
  DelimiterTrie trie;
  for (const std::string& delimiter : delimiters) {
    if (delimiter.empty()) {
      throw Error(Status(StatusCode::kInvalidArgument, "delimiters[].size()", 0, "at least one byte"));
    }
    trie.insert(delimiter);
  }
  trie.complete();
  ByteAutomaton automaton{std::move(trie.children)};
  for (ByteAutomaton::Row& row : automaton.rows) {
    for (std::uint16_t& entry : row) entry = static_cast<std::uint16_t>(entry << 1 | trie.ends[entry]);
  }
  return minimized(automaton);
}

}  // namespace detail
RESET_NAMESPACE_END
