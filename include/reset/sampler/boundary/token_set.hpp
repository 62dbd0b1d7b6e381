/// @file
/// The published rule: a step ends with a token that is in a set, or with two tokens of a second set in a row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <reset/sampler/boundary/detector.hpp>
#include <reset/sampler/boundary/vocabulary.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// The detector of the published rule (arXiv 2606.13233): a boundary after a token whose text contains "\n\n", and
/// after the second of two tokens that are each exactly "\n". In a run of "\n" tokens every one from the second on is a
/// boundary. What is said of tokens is told by their ids, through a table of two bits a token: see `TokenSetTable`.
///
/// The rule is about tokens, not text: ".\n" followed by "\n" is no boundary (`TextDelimiterDetector` finds it), and
/// any other token ends a run of "\n", one without text too. Ids outside the table are placeholders: no boundary, the
/// run goes on, nothing is read.
///
/// A view: the table must outlive it and lie in memory that the side which calls `observe` can read.
class TokenSetDetector {
 public:
  /// What is remembered between tokens: 1 byte.
  struct State {
    std::uint8_t after_newline;  ///< 1 if the last token was of the second set ("\n"), else 0.
  };

  /// A view of `table`, laid out as `TokenSetTable::data` documents, for token ids 0..`vocabulary_size` - 1.
  RESET_HOST_DEVICE constexpr TokenSetDetector(const std::uint32_t* table, std::int32_t vocabulary_size) noexcept
      : table_(table), vocabulary_size_(vocabulary_size) {}

  /// The state of a new request; the prompt never counts.
  RESET_HOST_DEVICE constexpr State initial_state() const noexcept { return {0}; }

  /// Whether `event.token` ends a step.
  RESET_HOST_DEVICE constexpr StepMark observe(State& state, const TokenEvent& event) const noexcept {
    if (event.token < 0 || event.token >= vocabulary_size_) return false;
    const auto token = static_cast<std::uint32_t>(event.token);
    const std::uint32_t bits = table_[token / 16] >> (token % 16 * 2);
    const bool newline = (bits & 2) != 0;
    const bool boundary = (bits & 1) != 0 || (newline && state.after_newline != 0);
    state.after_newline = newline ? 1 : 0;
    return boundary;
  }

 private:
  const std::uint32_t* table_;
  std::int32_t vocabulary_size_;
};

/// Owns the table of a `TokenSetDetector` in host memory: two bits a token, 38 KB for a vocabulary of 151,936. Host
/// only.
///
/// Detectors stay valid while the table lives; moving it keeps them valid.
class TokenSetTable {
 public:
  /// The published rule for a tokenizer: the first set is every token whose text contains "\n\n", the second every
  /// token whose text is "\n". Throws `Error` if the vocabulary is not valid.
  static TokenSetTable published_rule(const Vocabulary& vocabulary) {
    throw_if_failed(vocabulary.validate());
    TokenSetTable table(vocabulary.size());
    for (std::size_t id = 0; id < vocabulary.size(); ++id) {
      const std::string_view text = vocabulary.bytes[id];
      if (text.find("\n\n") != std::string_view::npos) table.add(id, kBoundary);
      if (text == "\n") table.add(id, kNewline);
    }
    return table;
  }

  /// The same rule with sets of your own: a boundary after each of `boundary_ids`, and after two of `newline_ids` in a
  /// row. Throws `Error` if `vocabulary_size` is not in 1..2^31 - 1 or an id is not in 0..`vocabulary_size` - 1.
  explicit TokenSetTable(std::size_t vocabulary_size, const std::vector<std::int32_t>& boundary_ids,
                         const std::vector<std::int32_t>& newline_ids = {})
      : TokenSetTable(vocabulary_size) {
    for (const std::int32_t id : boundary_ids) add(checked(id, "boundary_ids[]"), kBoundary);
    for (const std::int32_t id : newline_ids) add(checked(id, "newline_ids[]"), kNewline);
  }

  /// The detector over this table. Not to be had from a temporary, whose table would be gone.
  TokenSetDetector detector() const& noexcept { return detector(data()); }
  TokenSetDetector detector() const&& = delete;  ///< The table must outlive its detector.

  /// The detector over a copy of `data()` elsewhere, such as in device memory.
  TokenSetDetector detector(const std::uint32_t* copy) const noexcept {
    return {copy, static_cast<std::int32_t>(vocabulary_size_)};
  }

  /// The table: bits 2 (t % 16) and 2 (t % 16) + 1 of word t / 16 say whether token t is in the first and in the second
  /// set.
  const std::uint32_t* data() const noexcept { return words_.data(); }

  /// Bytes at `data()`.
  std::size_t size_bytes() const noexcept { return words_.size() * sizeof(std::uint32_t); }

 private:
  static constexpr std::uint32_t kBoundary = 1;
  static constexpr std::uint32_t kNewline = 2;

  explicit TokenSetTable(std::size_t vocabulary_size)
      : words_(checked_size(vocabulary_size) / 16 + 1), vocabulary_size_(vocabulary_size) {}

  static std::size_t checked_size(std::size_t size) {
    if (size < 1 || size > 0x7fffffff) {
      throw Error(Status(StatusCode::kInvalidArgument, "vocabulary_size", size, "1..2147483647"));
    }
    return size;
  }

  std::size_t checked(std::int32_t id, const char* argument) const {
    if (id < 0 || static_cast<std::size_t>(id) >= vocabulary_size_) {
      throw Error(Status(StatusCode::kInvalidArgument, argument, id, "a token id below vocabulary_size"));
    }
    return static_cast<std::size_t>(id);
  }

  void add(std::size_t id, std::uint32_t set) { words_[id / 16] |= set << (id % 16 * 2); }

  std::vector<std::uint32_t> words_;
  std::size_t vocabulary_size_;
};

static_assert(is_step_detector_v<TokenSetDetector>);

RESET_NAMESPACE_END
