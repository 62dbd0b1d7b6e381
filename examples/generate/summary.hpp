// What came of a run, in numbers.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <reset/sampler/sampler_types.hpp>

#include "terminal.hpp"

namespace generate {

// Names and what they are, on standard error, so that standard output holds the text alone.
void print_facts(const std::vector<std::pair<std::string, std::string>>& facts);

// How a sequence comes to its end: with the model's token for that, with a flag of early_stop, or for want of room.
enum class Ending { kByItself, kEarlyStop, kOutOfRoom };
constexpr std::size_t kEndings = 3;

// Counts what is generated, and how fast.
class Summary {
 public:
  // The time runs from here on: what reads the prompts comes next.
  explicit Summary(std::int64_t prompt_tokens) : prompt_tokens_(prompt_tokens) {}

  // The tokens of one advance() are told one by one, then that they were all.
  void add(const reset::SampledToken& sampled);
  void advanced();
  void ended(Ending how);

  void print(const console::Terminal& terminal) const;

 private:
  using Clock = std::chrono::steady_clock;

  std::int64_t prompt_tokens_;
  std::int64_t tokens_ = 0;
  std::int64_t first_tokens_ = 0;  // those of the first advance()
  std::int64_t steps_ = 0;
  std::int64_t ruled_ = 0;  // tokens whose temperature ReSET has set
  std::int64_t high_ = 0;   // of those, at T_high
  std::int64_t uncertain_ = 0;
  std::array<std::int64_t, kEndings> ended_ = {};  // by Ending
  Clock::time_point start_ = Clock::now();
  Clock::time_point first_ = start_;
  Clock::time_point last_ = start_;
};

}  // namespace generate
