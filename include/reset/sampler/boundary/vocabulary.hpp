/// @file
/// What the detectors need to know of a tokenizer: the bytes behind every token id.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// The text of every token id, as raw bytes, and which ids are special. Host only; read once, when an engine loads a
/// model, and not needed any more when the tables of the detectors are built.
///
/// Both vectors are indexed by token id, and equally long. A row of logits may be wider than the tokenizer has tokens;
/// resized to that width, ids without a token have no bytes, and no detector makes a boundary of them. Left shorter,
/// ids beyond are placeholders to the detectors: no boundary either, but they do not end a run of newlines.
struct Vocabulary {
  std::vector<std::string> bytes;  ///< The text of each token, decoded to raw bytes ("\n", not the "Ċ" of the file).
  std::vector<std::uint8_t> special;  ///< 1 for control tokens that are not text (end of text, turn marks), else 0.

  /// Number of token ids.
  std::size_t size() const noexcept { return bytes.size(); }

  /// Makes room for token ids 0..`width` - 1; new ones have no bytes.
  void resize(std::size_t width) {
    bytes.resize(width);
    special.resize(width);
  }

  /// Sets the token `id`; the vocabulary grows if it has to.
  void set(std::size_t id, std::string text, bool is_special = false) {
    if (id >= size()) resize(id + 1);
    bytes[id] = std::move(text);
    special[id] = is_special ? 1 : 0;
  }

  /// The lowest id whose text is exactly `text`, or -1: what the gate between two special tokens is made from.
  std::int32_t find(std::string_view text) const noexcept {
    for (std::size_t id = 0; id < bytes.size(); ++id) {
      if (bytes[id] == text) return static_cast<std::int32_t>(id);
    }
    return -1;
  }

  /// Whether tables can be built from it: at least one id, at most 2^31 - 1, and as many flags as texts.
  Status validate() const {
    constexpr std::size_t kMaxSize = 0x7fffffff;
    if (bytes.empty() || bytes.size() > kMaxSize) {
      return {StatusCode::kInvalidArgument, "vocabulary.bytes.size()", bytes.size(), "1..2147483647"};
    }
    if (special.size() != bytes.size()) {
      return {StatusCode::kInvalidArgument, "vocabulary.special.size()", special.size(), "vocabulary.bytes.size()"};
    }
    return {};
  }
};

RESET_NAMESPACE_END
