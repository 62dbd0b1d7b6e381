// The game the model plays: reach a target from a few numbers with + - * /, using every number once. Here a problem is
// read from text and an answer is checked by its arithmetic alone, whatever the model believes about it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reasoner {

struct Problem {
  std::vector<std::int64_t> numbers;
  std::int64_t target = 0;

  // "47,8,41:48", which is also how the model reads it.
  std::string text() const;
};

// Reads "a,b,c:target": 2 to 8 numbers, each 1 to 999999. Throws reset::Error with the text and what is wrong with it.
Problem parse_problem(std::string_view text);

// Reads a file of problems, one a line; empty lines and lines that begin with '#' are skipped.
std::vector<Problem> read_problems(const std::string& path);

struct Verdict {
  bool correct = false;
  std::string answer;  // the equations of the answer as written, empty if there is none
  std::string reason;  // one clause: why it is right, or the first thing that is wrong
};

// Looks for the line "ans x+y=z,..." among the steps of `trace` (steps are separated by "\n\n") and checks it exactly:
// every equation holds in the integers (a division leaves no rest, none is by zero), every operand is a given number or
// an earlier result and is used up by its use, and in the end nothing is left but the target.
Verdict check_answer(const Problem& problem, std::string_view trace);

// Whether `text` is an equation, as in "41-8=33", that holds in the integers.
bool is_true_equation(std::string_view text);

}  // namespace reasoner
