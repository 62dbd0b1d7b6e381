// The check of a trace's answer.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "problem.hpp"

// Reads a row of tokens from the front.
class Reader {
 public:
  Reader(const uint8_t* row, int size) : at_(row), end_(row + size) {}
  bool take(Token t) { return at_ < end_ && *at_ == t && ++at_; }
  Token operation() {
    if (at_ == end_ || *at_ < kPlus || *at_ > kDivide) return kPad;
    return static_cast<Token>(*at_++);
  }
  // -1 where there is none of at most six digits.
  int number() {
    int value = 0, digits = 0;
    for (; at_ < end_ && *at_ >= kDigit0 && *at_ < kDigit0 + 10 && digits < 7; ++at_, ++digits)
      value = value * 10 + *at_ - kDigit0;
    return digits == 0 || digits > 6 ? -1 : value;
  }

 private:
  const uint8_t *at_, *end_;
};

inline bool holds(int64_t x, Token op, int64_t y, int64_t result) {
  if (op == kPlus) return x + y == result;
  if (op == kMinus) return x - y == result;
  if (op == kTimes) return x * y == result;
  return op == kDivide && y != 0 && x % y == 0 && x / y == result;
}

// Does the line behind the last step boundary answer the problem, every number used once and each equation true?
inline bool solved(const int32_t* problem, const uint8_t* row, int size) {
  const uint8_t* end = std::find(row, row + size, kEos);
  if (end == row + size) return false;
  const uint8_t* line = end;
  while (line != row && line[-1] != kStep) --line;
  std::vector<int> left;
  for (int k = 0; k < kMaxNumbers; ++k)
    if (problem[k] > 0) left.push_back(problem[k]);
  Reader read(line, static_cast<int>(end + 1 - line));
  if (!read.take(kAns)) return false;
  do {
    const int x = read.number();
    const Token op = read.operation();
    const int y = read.number();
    if (!read.take(kEquals)) return false;
    const int result = read.number();
    if (x < 0 || y < 0 || result < 0 || !holds(x, op, y, result)) return false;
    for (const int used : {x, y}) {
      const auto at = std::find(left.begin(), left.end(), used);
      if (at == left.end()) return false;
      left.erase(at);
    }
    left.push_back(result);
  } while (read.take(kComma));
  return read.take(kEos) && left.size() == 1 && left[0] == problem[kMaxNumbers];
}
