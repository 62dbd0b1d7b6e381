// What both kinds of traces are written with.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "problem.hpp"

class TraceWriter {
 public:
  TraceWriter(Rng& rng, const Options& o) : rng_(rng), o_(o) {}
  const std::vector<uint8_t>& tokens() const { return out_; }

 protected:
  // Writes the prompt; returns its state.
  State begin(const Problem& p, int* prompt_tokens) {
    out_.clear();
    path_.clear();
    target_ = p.target;
    State s;
    s.n = p.count;
    std::copy(p.numbers, p.numbers + p.count, s.v);
    put(kBos);
    numbers(s);
    put(kColon);
    number(p.target);
    put(kStep);
    *prompt_tokens = static_cast<int>(out_.size());
    return s;
  }
  void put(uint8_t t) { out_.push_back(t); }
  void number(int v) {
    char digits[12];
    int n = 0;
    do digits[n++] = static_cast<char>(v % 10);
    while (v /= 10);
    while (n) put(static_cast<uint8_t>(kDigit0 + digits[--n]));
  }
  void numbers(const State& s) {
    for (int k = 0; k < s.n; ++k) {
      if (k) put(kComma);
      number(s.v[k]);
    }
  }
  void equation(const State& s, const Move& m) {
    number(s.v[m.i]);
    put(m.op);
    number(s.v[m.j]);
    put(kEquals);
    number(m.result);
  }
  // The numbers that are left: two with the new one last, more in a random order.
  State listed(State s) {
    for (int k = s.n - 1; k > 0 && s.n > 2; --k) std::swap(s.v[k], s.v[rng_.below(k + 1)]);
    numbers(s);
    put(kStep);
    return s;
  }
  Move either_order(Move m) {
    if ((m.op == kPlus || m.op == kTimes) && rng_.percent(50)) std::swap(m.i, m.j);
    return m;
  }
  void answer(const State& s, const Move& last) {
    put(kAns);
    for (const auto& step : path_) {
      equation(step.first, step.second);
      put(kComma);
    }
    equation(s, last);
    put(kEos);
  }

  Rng& rng_;
  const Options& o_;
  int target_ = 0;
  std::vector<std::pair<State, Move>> path_;
  std::vector<uint8_t> out_;
};
