// A search with judgements, biased towards moves from which the target can still be reached:
//
//   ^47,8,41:48|41-8=33 go 47,33|33+47=80 no|back 8,41,47|8*41=328 dead|47-41=6 go 8,6|6*8=48 yes|ans 47-41=6,6*8=48$
//
// Every line takes two numbers of the current state and combines them. What follows is a judgement: `go` and the
// numbers that are left, `dead` (given up unseen), `no` or `yes` (nothing is left to combine). `back` returns to an
// earlier state, and `ans` repeats the steps that reached the target. What to combine, in which order to write it,
// whether to look further and how far to go back are random; the rest follows.
#pragma once

#include <utility>
#include <vector>

#include "trace_writer.hpp"

class SearchWriter : public TraceWriter {
 public:
  using TraceWriter::TraceWriter;

  // Returns false if the search gave up or ran over the limit.
  bool write(const Problem& p, int* prompt_tokens) {
    root_ = begin(p, prompt_tokens);
    return explore(root_) && static_cast<int>(out_.size()) <= o_.max_tokens;
  }

 private:
  // Two numbers left: the solution if there is one, else one or two vain tries.
  bool finish(const State& s) {
    Move m[kMaxMoves];
    int n = moves_of(s, m);
    std::vector<Move> good;
    for (int k = 0; k < n; ++k)
      if (m[k].result == target_) good.push_back(m[k]);
    if (!good.empty()) {
      const Move pick = either_order(good[rng_.below(static_cast<int>(good.size()))]);
      equation(s, pick);
      put(kYes);
      put(kStep);
      answer(s, pick);
      return true;
    }
    for (int tries = rng_.percent(80) ? 1 : 2; tries > 0 && n > 0; --tries) {
      const int k = rng_.below(n);
      const Move pick = either_order(m[k]);
      m[k] = m[--n];
      equation(s, pick);
      put(kNo);
      put(kStep);
    }
    return false;
  }

  // Three or four numbers left. Returns with the state given up, or the problem solved.
  bool explore(State s) {
    const bool at_root = s.n == root_.n;
    Move m[kMaxMoves];
    bool good[kMaxMoves];
    int n = moves_of(s, m);
    bool hopeful = false;
    for (int k = 0; k < n; ++k) hopeful |= good[k] = solvable(after(s, m[k]), target_);
    while (n > 0) {
      if (static_cast<int>(out_.size()) > o_.max_tokens) return false;
      int k = rng_.below(n);
      if (rng_.percent(s.n == 3 ? o_.oracle3 : o_.oracle4)) {
        int solving = 0;
        for (int c = 0; c < n; ++c)
          if (good[c] && rng_.below(++solving) == 0) k = c;
      }
      const Move pick = either_order(m[k]);
      const bool promising = good[k];
      m[k] = m[--n];
      good[k] = good[n];
      equation(s, pick);
      bool moved = false;  // is another state than s the last one written?
      if (!promising && rng_.percent(s.n == 3 ? o_.dead3 : o_.dead3 / 4)) {
        put(kDead);
        put(kStep);
      } else {
        put(kGo);
        const State next = listed(after(s, pick));
        path_.push_back({s, pick});
        if (next.n == 2 ? finish(next) : explore(next)) return true;
        path_.pop_back();
        moved = true;
      }
      if (!at_root && (n == 0 || rng_.percent(hopeful ? o_.leave / 8 : o_.leave))) return false;
      if (moved) {
        put(kBack);
        s = relisted(s, m, n);
      }
    }
    return false;
  }
  // Writes the state in a new order and keeps the untried moves pointing at the same numbers.
  State relisted(const State& s, Move* m, int n) {
    int order[kMaxNumbers] = {0, 1, 2, 3}, where[kMaxNumbers] = {};
    for (int k = s.n - 1; k > 0; --k) std::swap(order[k], order[rng_.below(k + 1)]);
    State t;
    t.n = s.n;
    for (int k = 0; k < s.n; ++k) {
      t.v[k] = s.v[order[k]];
      where[order[k]] = k;
    }
    for (int k = 0; k < n; ++k) {
      m[k].i = where[m[k].i];
      m[k].j = where[m[k].j];
    }
    numbers(t);
    put(kStep);
    return t;
  }

  State root_;
};
