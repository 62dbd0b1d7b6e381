// What ReSET decided for each token of a trace, and the sums of it over a reasoning step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "countdown.hpp"

namespace reasoner {

struct TokenRecord {
  std::int32_t token = 0;
  float entropy = 0;       // of the raw logits, in nats
  float threshold = 0;     // tau_t, which the entropy was compared with
  float temperature = 0;   // the token was sampled at
  bool high = false;       // that is T_high
  bool uncertain = false;  // the step was uncertain when the token was sampled
  bool boundary = false;   // the token begins a step
};

// One trace: everything generated for one problem.
struct Solution {
  std::vector<TokenRecord> tokens;
  std::string text;       // of the tokens, special ones left out
  bool finished = false;  // ended by itself, not by the limit on its length
  Verdict verdict;
};

// Sums over tokens: of one step, or of many traces.
struct Tally {
  std::int64_t tokens = 0;
  std::int64_t high = 0;
  std::int64_t uncertain = 0;
  double entropy = 0;
  double threshold = 0;

  void add(const TokenRecord& record) {
    ++tokens;
    high += record.high ? 1 : 0;
    uncertain += record.uncertain ? 1 : 0;
    entropy += static_cast<double>(record.entropy);
    threshold += static_cast<double>(record.threshold);
  }
  double mean(double sum) const { return tokens == 0 ? 0.0 : sum / static_cast<double>(tokens); }
  double share(std::int64_t part) const { return mean(static_cast<double>(part)); }
};

}  // namespace reasoner
