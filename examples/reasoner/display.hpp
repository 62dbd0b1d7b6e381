// What the reasoner prints while it thinks: one line a reasoning step, its tokens coloured by temperature.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "terminal.hpp"
#include "trace.hpp"

namespace reasoner {

// How the tokens are sampled, as the display needs to know it.
struct PolicyLabel {
  bool reset = true;  // false: one temperature for every token
  float tau0 = 0;
  float t_low = 0;
  float t_high = 0;
  float temperature = 0;
  std::int32_t window = 0;
};

class Display {
 public:
  Display(const Terminal& terminal, PolicyLabel policy) : terminal_(terminal), policy_(policy) {}

  // The head: pairs of a name and what it is, and the legend of the colours.
  void head(const std::vector<std::pair<std::string, std::string>>& facts) const;
  void begin(std::int64_t number, std::int64_t count, const Problem& problem);
  // A token and its text (empty if it is no text); a step is printed when it ends.
  void token(const TokenRecord& record, std::string_view text);
  void end(const Solution& solution);
  // The foot: what came of it all.
  void summary(std::int64_t solved, std::int64_t count, double seconds) const;

 private:
  void step();
  std::string share_bar(const Tally& tally, std::int64_t part, int width, Colour colour) const;
  void rule() const;

  const Terminal& terminal_;
  PolicyLabel policy_;
  Tally total_;
  Tally step_;
  std::int64_t steps_ = 0;
  std::string text_;  // of the step so far, coloured
  Colour colour_ = Colour::kStrong;
  std::string run_;  // of tokens that share a colour
  void flush_run();
};

}  // namespace reasoner
