/// @file
/// Steps that end with a delimiter in the text, however the tokenizer splits it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <reset/sampler/boundary/detail/byte_automaton.hpp>
#include <reset/sampler/boundary/detail/token_automaton.hpp>
#include <reset/sampler/boundary/detector.hpp>
#include <reset/sampler/boundary/vocabulary.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// A boundary after every token in which a delimiter ends: with the generated text as one string of bytes, token t is a
/// boundary if and only if some occurrence of some delimiter has its last byte among the bytes of t. Occurrences may
/// overlap: with the delimiter "\n\n" both the second and the third of three "\n" tokens are boundaries, and a token
/// counts once however many delimiters end in it.
///
/// Where the published rule looks at two tokens, this one sees the text, through an automaton over bytes that was run
/// over every token beforehand: two reads a token, whatever the delimiters; see `TextDelimiterTable`. A special token
/// is no text and cuts it: no boundary, and no delimiter reaches across. A token without text changes nothing, nor does
/// an id outside the vocabulary, for which nothing is read either.
///
/// A view: the table must outlive it and lie in memory that the side which calls `observe` can read.
class TextDelimiterDetector {
 public:
  /// What is remembered between tokens: 2 bytes.
  struct State {
    std::uint16_t node;  ///< The state of the automaton; 0 at the start.
  };

  /// The state of a new request; the prompt never counts.
  RESET_HOST_DEVICE constexpr State initial_state() const noexcept { return {0}; }

  /// Whether a delimiter ends in `event.token`.
  RESET_HOST_DEVICE constexpr StepMark observe(State& state, const TokenEvent& event) const noexcept {
    if (event.token < 0 || event.token >= vocabulary_size_) return false;
    const auto token = static_cast<std::uint32_t>(event.token);
    const std::uint16_t* classes = table_ + transitions_;
    const std::uint32_t token_class =
        bytewise_ ? (classes[token / 2] >> (token % 2 * 8)) & 0xffu : std::uint32_t{classes[token]};
    // A state imported from another table must not lead out of this one.
    const std::uint32_t node = state.node < states_ ? state.node : 0u;
    const std::uint16_t entry = table_[token_class * states_ + node];
    state.node = static_cast<std::uint16_t>(entry >> 1);
    return (entry & 1) != 0;
  }

 private:
  friend class TextDelimiterTable;
  constexpr TextDelimiterDetector() = default;

  const std::uint16_t* table_ = nullptr;
  std::int32_t vocabulary_size_ = 0;
  std::uint32_t states_ = 0;
  std::uint32_t transitions_ = 0;
  bool bytewise_ = false;
};

/// Owns the table of a `TextDelimiterDetector` in host memory. Host only; made once for a model and its delimiters.
///
/// The delimiters become the smallest automaton that finds them (2 states for "\n\n"), and the tokens that act alike on
/// it share a class, stored in a byte where 256 classes suffice: one byte a token, 152 KB for "\n\n" and a vocabulary
/// of 151,936. Detectors stay valid while the table lives; moving it keeps them valid.
class TextDelimiterTable {
 public:
  /// The most distinct prefixes that the delimiters may have in all, the empty one counted.
  static constexpr std::size_t kMaxStates = detail::kMaxDelimiterStates;

  /// Compiles `delimiters`, any byte strings ("\n\n", "\r\n\r\n", "Wait"), over `vocabulary`. Throws `Error` if there
  /// are no delimiters, one is empty, they have more than `kMaxStates` prefixes, the vocabulary is not valid, or its
  /// tokens fall into more than 65,535 classes.
  TextDelimiterTable(const Vocabulary& vocabulary, const std::vector<std::string>& delimiters)
      : TextDelimiterTable(detail::make_token_automaton(detail::make_byte_automaton(delimiters), vocabulary)) {}

  /// The detector over this table. Not to be had from a temporary, whose table would be gone.
  TextDelimiterDetector detector() const& noexcept { return detector(data()); }
  TextDelimiterDetector detector() const&& = delete;  ///< The table must outlive its detector.

  /// The detector over a copy of `data()` elsewhere, such as in device memory.
  TextDelimiterDetector detector(const std::uint16_t* copy) const noexcept {
    TextDelimiterDetector view = view_;
    view.table_ = copy;
    return view;
  }

  /// The table: for each class of tokens and each state, next state * 2 + (1 if a delimiter ends); then the class of
  /// each token, in a byte (the even token in the low one) or in 16 bits.
  const std::uint16_t* data() const noexcept { return words_.data(); }

  /// Bytes at `data()`.
  std::size_t size_bytes() const noexcept { return words_.size() * sizeof(std::uint16_t); }

  /// States of the automaton.
  std::size_t states() const noexcept { return view_.states_; }

  /// Classes of tokens.
  std::size_t classes() const noexcept { return view_.transitions_ / view_.states_; }

 private:
  explicit TextDelimiterTable(detail::TokenAutomaton automaton) : words_(std::move(automaton.transitions)) {
    view_.vocabulary_size_ = static_cast<std::int32_t>(automaton.class_of.size());
    view_.states_ = static_cast<std::uint32_t>(automaton.states);
    view_.transitions_ = static_cast<std::uint32_t>(words_.size());
    view_.bytewise_ = automaton.classes <= 256;
    if (!view_.bytewise_) {
      words_.insert(words_.end(), automaton.class_of.begin(), automaton.class_of.end());
      return;
    }
    words_.resize(words_.size() + (automaton.class_of.size() + 1) / 2);
    for (std::size_t id = 0; id < automaton.class_of.size(); ++id) {
      words_[view_.transitions_ + id / 2] |= static_cast<std::uint16_t>(automaton.class_of[id] << (id % 2 * 8));
    }
  }

  std::vector<std::uint16_t> words_;
  TextDelimiterDetector view_;
};

static_assert(is_step_detector_v<TextDelimiterDetector>);

RESET_NAMESPACE_END
