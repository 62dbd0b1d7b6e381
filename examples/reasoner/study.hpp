// What the accuracy study keeps of the traces of one model under one policy.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "solver.hpp"

namespace reasoner {

// Reasoning steps that write an equation, by their mean token entropy.
struct StepBin {
  std::int64_t steps = 0;
  std::int64_t wrong = 0;      // their equation is false, or none
  std::int64_t in_solved = 0;  // of traces that solve their problem
};

class Study {
 public:
  static constexpr double kStepBinWidth = 0.05;  // nats; the last bin takes what is above
  static constexpr std::size_t kStepBins = 31;
  static constexpr double kLowestDecade = -6;  // of the histogram of token entropies: the first bin takes what is below
  static constexpr std::size_t kBinsPerDecade = 8;
  static constexpr std::size_t kTokenBins = 52;  // up to 10^0.5 nats
  static constexpr std::size_t kOldest = 64;     // ages of tokens from here on are counted together

  explicit Study(const reset::Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  void add(const Solution& solution);

  // A character a trace: '1' solved, '0' ended with another answer, '-' cut off by the limit.
  const std::string& outcomes() const { return outcomes_; }
  const Tally& tally() const { return tally_; }
  // Tokens whose step held at least so many tokens before them, age <= kOldest: from `window` on ReSET averages the
  // step.
  std::int64_t aged(std::size_t age) const;
  std::int64_t boundaries() const { return boundaries_; }  // tokens that begin a step
  const std::array<StepBin, kStepBins>& steps() const { return steps_; }
  const std::array<std::int64_t, kTokenBins>& tokens() const { return tokens_; }
  // The entropy that a share of q of the tokens has at most; of all tokens that were added.
  double entropy_quantile(double q);
  // The share of tokens of more than that entropy.
  double share_above(float nats) const;

 private:
  void add_ages(const Solution& solution);
  void add_steps(const Solution& solution);

  const reset::Vocabulary& vocabulary_;
  std::string outcomes_;
  Tally tally_;
  std::vector<float> entropies_;
  std::array<StepBin, kStepBins> steps_{};
  std::array<std::int64_t, kTokenBins> tokens_{};
  std::array<std::int64_t, kOldest + 1> ages_{};
  std::int64_t boundaries_ = 0;
};

}  // namespace reasoner
