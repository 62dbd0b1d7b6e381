// Countdown problems: what can be reached from given numbers, the splits, and how problems are drawn.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

// The vocabulary; countdown.py holds the same table as text.
enum Token : uint8_t {
  kPad,
  kBos,
  kEos,
  kStep,
  kPlus,
  kMinus,
  kTimes,
  kDivide,
  kEquals,
  kComma,
  kColon,
  kGo,
  kDead,
  kNo,
  kYes,
  kBack,
  kAns,
  kDigit0
};

constexpr int kMaxNumbers = 4;
constexpr int kMaxResult = 999;
constexpr int kTargetLow = 10;

struct Options {    // mirrored in countdown.py
  int32_t largest;  // of the given numbers
  int32_t target_high;
  int32_t three_percent;  // problems with three numbers, in percent
  int32_t max_tokens;     // of a whole trace, prompt included
  int32_t oracle3;        // percent of choices biased towards a solution, with three numbers left
  int32_t oracle4;        // the same with four
  int32_t dead3;          // percent of hopeless pairs given up unseen
  int32_t leave;          // percent chance to go back to the start after each failure in a hopeless three-number state
  int32_t rollouts;       // write independent tries; three_percent must be 100
  int32_t most_openings;  // at most so many first moves from which the target can be reached; 0: any number
};

struct Rng {  // SplitMix64
  uint64_t s;
  uint64_t next() {
    uint64_t z = (s += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  int below(int n) { return static_cast<int>((next() >> 32) * static_cast<uint64_t>(n) >> 32); }
  bool percent(int p) { return below(100) < p; }
};

struct Problem {
  int count = 0;
  int numbers[kMaxNumbers] = {};
  int target = 0;
};

struct State {
  int n = 0;
  int v[kMaxNumbers] = {};
};

struct Move {
  int i, j;  // positions in the state; i is written first
  Token op;
  int result;
};

// Every way to combine two numbers, in one of the two orders for + and *; equal numbers give equal moves once.
inline int moves_of(const State& s, Move* out) {
  int n = 0;
  const auto add = [&](const Move& m) {
    for (int k = 0; k < n; ++k) {
      const int a = s.v[out[k].i], b = s.v[out[k].j], c = s.v[m.i], d = s.v[m.j];
      if (out[k].op == m.op && std::min(a, b) == std::min(c, d) && std::max(a, b) == std::max(c, d)) return;
    }
    out[n++] = m;
  };
  for (int i = 0; i < s.n; ++i) {
    for (int j = i + 1; j < s.n; ++j) {
      const int x = s.v[i], y = s.v[j];
      const int big = x >= y ? i : j, small = x >= y ? j : i;
      const int b = s.v[big], c = s.v[small];
      if (x + y <= kMaxResult) add({i, j, kPlus, x + y});
      if (b > c) add({big, small, kMinus, b - c});
      if (x * y <= kMaxResult) add({i, j, kTimes, x * y});
      if (c > 1 && b % c == 0) add({big, small, kDivide, b / c});
    }
  }
  return n;
}
constexpr int kMaxMoves = 24;

inline State after(const State& s, const Move& m) {
  State t;
  for (int k = 0; k < s.n; ++k)
    if (k != m.i && k != m.j) t.v[t.n++] = s.v[k];
  t.v[t.n++] = m.result;
  return t;
}

inline bool solvable(const State& s, int target) {
  if (s.n == 1) return s.v[0] == target;
  Move m[kMaxMoves];
  const int n = moves_of(s, m);
  for (int k = 0; k < n; ++k)
    if (solvable(after(s, m[k]), target)) return true;
  return false;
}

inline void reachable(const State& s, std::vector<int>& out) {
  if (s.n == 1) {
    out.push_back(s.v[0]);
    return;
  }
  Move m[kMaxMoves];
  const int n = moves_of(s, m);
  for (int k = 0; k < n; ++k) reachable(after(s, m[k]), out);
}

// FNV-1a over "a,b,c:target" with the numbers in ascending order, so that every order of a problem falls in one split.
// hash % 16: 0 held out for evaluation, 1 for calibration, the rest for training.
inline uint64_t canonical_hash(const Problem& p) {
  int v[kMaxNumbers];
  std::copy(p.numbers, p.numbers + p.count, v);
  std::sort(v, v + p.count);
  std::string text;
  for (int k = 0; k < p.count; ++k) text += (k ? "," : "") + std::to_string(v[k]);
  text += ":" + std::to_string(p.target);
  uint64_t h = 0xCBF29CE484222325ull;
  for (unsigned char c : text) h = (h ^ c) * 0x100000001B3ull;
  return h;
}

enum Split : int { kTraining = -1, kEvaluation = 0, kCalibration = 1 };

inline bool in_split(const Problem& p, int split) {
  const int bucket = static_cast<int>(canonical_hash(p) % 16);
  return split == kTraining ? bucket > 1 : bucket == split;
}

inline int openings(const State& s, int target) {
  Move m[kMaxMoves];
  const int n = moves_of(s, m);
  return static_cast<int>(std::count_if(m, m + n, [&](const Move& move) { return solvable(after(s, move), target); }));
}

// Uniform numbers, then a target drawn uniformly from the distinct ones that can be reached.
inline Problem draw_problem(Rng& rng, const Options& o, int split) {
  std::vector<int> targets;
  for (;;) {
    Problem p;
    State s;
    p.count = s.n = rng.percent(o.three_percent) ? 3 : 4;
    for (int k = 0; k < p.count; ++k) p.numbers[k] = s.v[k] = 1 + rng.below(o.largest);
    targets.clear();
    reachable(s, targets);
    std::sort(targets.begin(), targets.end());
    targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
    const auto low = std::lower_bound(targets.begin(), targets.end(), kTargetLow);
    const auto high = std::upper_bound(targets.begin(), targets.end(), o.target_high);
    if (low >= high) continue;
    p.target = *(low + rng.below(static_cast<int>(high - low)));
    if (o.most_openings > 0 && openings(s, p.target) > o.most_openings) continue;
    if (in_split(p, split)) return p;
  }
}
