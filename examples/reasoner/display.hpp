// What the reasoner prints while it thinks: one line a reasoning step, its tokens coloured by temperature.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "terminal.hpp"
#include "trace.hpp"

namespace reasoner {

// The temperatures that the display tells apart.
struct Temperatures {
  bool reset = true;  // false: one temperature for every token
  float low = 0;
  float high = 0;
};

class Display {
 public:
  Display(const console::Terminal& terminal, Temperatures temperatures)
      : terminal_(terminal), temperatures_(temperatures) {}

  // The head: pairs of a name and what it is, and the legend of the colours.
  void head(const std::vector<std::pair<std::string, std::string>>& facts) const;
  void begin(std::int64_t number, std::int64_t count, const Problem& problem);
  // A token and its text (empty if it is no text); a step is printed when it ends. A terminal shows the first and the
  // last steps of a long trace, a file all of them.
  void token(const TokenRecord& record, std::string_view text);
  void end(const Solution& solution);
  // The foot: what came of it all.
  void summary(std::int64_t solved, std::int64_t count, double seconds) const;

 private:
  void rule() const;
  void fact(const std::string& name, const std::string& text) const;
  void flush_run();
  void end_step();
  void show(const std::string& line);
  std::string share_bar(const Tally& tally, std::int64_t part, int width, console::Colour colour) const;

  const console::Terminal& terminal_;
  Temperatures temperatures_;
  Tally total_;
  Tally step_;
  std::int64_t steps_ = 0;
  std::string text_;  // of the step so far, coloured
  std::string run_;   // of the last tokens, which share colour_
  console::Colour colour_ = console::Colour::kStrong;
  std::deque<std::string> held_;  // lines of the last steps, while those before them are left out
};

}  // namespace reasoner
