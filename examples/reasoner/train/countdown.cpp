// Countdown problems and the traces that teach a small model to solve them, for countdown.py.
//
// A problem is 3 or 4 numbers and a target that is reached with + - * / from all of them, every intermediate result a
// positive integer of at most 999. A trace is what the model reads and learns to write: search_writer.hpp and
// rollout_writer.hpp show one of each kind, `|` standing for the step boundary.
//
// countdown.py compiles this file into a shared library: g++ -O2 -std=c++17 -shared -fPIC -pthread countdown.cpp

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "answer.hpp"
#include "problem.hpp"
#include "rollout_writer.hpp"
#include "search_writer.hpp"

namespace {

template <class Body>
void in_threads(int64_t n, int threads, Body body) {
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t) pool.emplace_back([=] { body(t, n * t / threads, n * (t + 1) / threads); });
  for (auto& t : pool) t.join();
}

Rng stream(uint64_t seed, int64_t index) {
  Rng r{seed * 0x2545F4914F6CDD1Dull};
  r.s = r.next() + static_cast<uint64_t>(index);
  return Rng{r.next()};
}

// A trace of the training split, of the first problem that one comes of; returns how many were begun.
template <class Writer>
int64_t write_trace(const Options& o, Rng rng, uint8_t* tokens, int32_t* length, int32_t* prompt) {
  Writer writer(rng, o);
  int64_t begun = 1;
  while (!writer.write(draw_problem(rng, o, kTraining), prompt)) ++begun;
  std::copy(writer.tokens().begin(), writer.tokens().end(), tokens);
  *length = static_cast<int32_t>(writer.tokens().size());
  return begun;
}

}  // namespace

extern "C" {

// Fills rows of max_tokens tokens (padded with 0) with n successful traces of the training split, and their lengths.
// Returns how many searches were written to get them.
int64_t countdown_traces(const Options* options, uint64_t seed, int64_t n, int threads, uint8_t* tokens,
                         int32_t* lengths, int32_t* prompt_lengths) {
  std::vector<int64_t> written(static_cast<size_t>(threads), 0);
  in_threads(n, threads, [&, options](int thread, int64_t begin, int64_t end) {
    const Options o = *options;
    for (int64_t row = begin; row < end; ++row) {
      uint8_t* out = tokens + row * o.max_tokens;
      std::memset(out, kPad, static_cast<size_t>(o.max_tokens));
      const auto write = o.rollouts ? write_trace<RolloutWriter> : write_trace<SearchWriter>;
      written[static_cast<size_t>(thread)] += write(o, stream(seed, row), out, lengths + row, prompt_lengths + row);
    }
  });
  int64_t total = 0;
  for (int64_t w : written) total += w;
  return total;
}

// n distinct problems of a split (0 evaluation, 1 calibration): rows of five numbers, {a, b, c, d or 0, target}.
void countdown_problems(const Options* options, uint64_t seed, int64_t n, int split, int32_t* out) {
  std::vector<uint64_t> seen;
  Rng rng = stream(seed, 0);
  for (int64_t row = 0; row < n;) {
    const Problem p = draw_problem(rng, *options, split);
    const uint64_t h = canonical_hash(p);
    const auto at = std::lower_bound(seen.begin(), seen.end(), h);
    if (at != seen.end() && *at == h) continue;
    seen.insert(at, h);
    std::copy(p.numbers, p.numbers + kMaxNumbers, out + row * 5);
    out[row * 5 + 4] = p.target;
    ++row;
  }
}

// Which of n rows of `width` tokens solve their problem: five numbers a row, as countdown_problems writes them.
void countdown_solved(const int32_t* problems, const uint8_t* rows, int64_t n, int width, int threads, uint8_t* out) {
  in_threads(n, threads, [=](int, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = solved(problems + i * 5, rows + i * width, width);
  });
}

int countdown_solvable(const int32_t* numbers, int count, int target) {
  State s;
  s.n = count;
  std::copy(numbers, numbers + count, s.v);
  return solvable(s, target);
}

}  // extern "C"
