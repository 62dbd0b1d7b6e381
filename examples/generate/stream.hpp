// What is generated, as it comes: each token in the colour of its temperature, and where the steps begin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <reset/sampler/boundary/vocabulary.hpp>
#include <reset/sampler/sampler_types.hpp>

#include "terminal.hpp"

namespace generate {

// Writes text to standard output. Sequences that grow side by side are shown one after the other: the first as it
// comes, the next, as far as it has come, when that one has ended. Without colours it is the text and nothing else.
class Stream {
 public:
  // The references must outlive the stream. Each of several sequences has a line above it, with its seed.
  Stream(const console::Terminal& terminal, const reset::Vocabulary& vocabulary, std::size_t sequences,
         std::uint64_t seed);

  void token(std::size_t sequence, const reset::SampledToken& sampled);
  void end(std::size_t sequence);

 private:
  struct Sequence {
    std::string shown;  // what waits to be written
    std::string text;   // of the last characters, of which one is not complete
    std::int64_t steps = 1;
    bool ended = false;
  };

  void append(Sequence& sequence, const reset::SampledToken& sampled, std::string_view text) const;
  void write();

  const console::Terminal& terminal_;
  const reset::Vocabulary& vocabulary_;
  std::uint64_t seed_;
  std::vector<Sequence> sequences_;
  std::size_t current_ = 0;
};

// How many bytes of `text` are whole UTF-8 characters, or can never become such.
std::size_t whole_characters(std::string_view text);

// `text` with its control characters, line ends and tabs apart, shown as "\x1b": a model must not steer the terminal.
std::string without_controls(std::string_view text);

}  // namespace generate
