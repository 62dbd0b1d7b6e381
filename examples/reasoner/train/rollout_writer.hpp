// A row of independent tries, whose choices are all equally good:
//
//   ^41,8,47:48|41-8=33|33+47=80 no|8*41=328|328-47=281 no|47-41=6|6*8=48 yes|ans 47-41=6,6*8=48$
//
// The first line of a try is drawn uniformly from the moves of the problem, whatever was tried before; the second is
// the solution if there is one, else a move drawn uniformly. `dead` marks two numbers that nothing can be done with. A
// trace that has not reached the target by the limit ends there, so that what is learnt is not what happened to
// succeed.
#pragma once

#include <algorithm>
#include <iterator>
#include <vector>

#include "trace_writer.hpp"

class RolloutWriter : public TraceWriter {
 public:
  using TraceWriter::TraceWriter;

  // True: every trace is one to learn from.
  bool write(const Problem& p, int* prompt_tokens) { return roll_out(begin(p, prompt_tokens)); }

 private:
  // Tries until one succeeds or the limit cuts the trace off; true, since either is a trace to learn from.
  bool roll_out(const State& s) {
    Move m[kMaxMoves];
    const int n = moves_of(s, m);
    while (static_cast<int>(out_.size()) < o_.max_tokens) {
      const Move pick = either_order(m[rng_.below(n)]);
      const State next = after(s, pick);
      equation(s, pick);
      Move last[kMaxMoves];
      if (moves_of(next, last) == 0) {
        put(kDead);
        put(kStep);
        continue;
      }
      put(kStep);
      path_.assign(1, {s, pick});
      if (try_once(next)) break;
    }
    if (static_cast<int>(out_.size()) > o_.max_tokens) out_.resize(static_cast<size_t>(o_.max_tokens));
    return true;
  }
  // Two numbers left: the solution and the answer, or one vain move.
  bool try_once(const State& s) {
    Move m[kMaxMoves];
    const int n = moves_of(s, m);
    std::vector<Move> good;
    std::copy_if(m, m + n, std::back_inserter(good), [&](const Move& move) { return move.result == target_; });
    const Move pick = either_order(good.empty() ? m[rng_.below(n)]
                                                : good[static_cast<size_t>(rng_.below(static_cast<int>(good.size())))]);
    equation(s, pick);
    put(good.empty() ? kNo : kYes);
    put(kStep);
    if (!good.empty()) answer(s, pick);
    return !good.empty();
  }
};
