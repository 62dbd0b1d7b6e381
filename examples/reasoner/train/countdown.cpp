// Countdown problems and the search traces that teach a small model to solve them.
//
// A problem is 3 or 4 numbers and a target that is reached with + - * / from all of them, every intermediate result a
// positive integer of at most 999. A trace is what the model reads and learns to write, `|` standing for the step boundary:
//
//   ^47,8,41:48|41-8=33 go 47,33|33+47=80 no|back 8,41,47|8*41=328 dead|47-41=6 go 8,6|6*8=48 yes|ans 47-41=6,6*8=48$
//
// Every line takes two numbers of the current state and combines them. What follows is a judgement: `go` and the numbers that
// are left, `dead` (given up unseen), `no` or `yes` (nothing is left to combine). `back` returns to an earlier state, and
// `ans` repeats the steps that reached the target. What to combine, in which order to write it, whether to look further and
// how far to go back are random, with a bias towards moves from which the target can still be reached; the rest follows.
//
// With `rollouts` a trace of a problem with three numbers is a row of independent tries, whose choices are all equally good:
//
//   ^41,8,47:48|41-8=33|33+47=80 no|8*41=328|328-47=281 no|47-41=6|6*8=48 yes|ans 47-41=6,6*8=48$
//
// The first line of a try is drawn uniformly from the moves of the problem, whatever was tried before; the second is the
// solution if there is one, else a move drawn uniformly. `dead` marks two numbers that nothing can be done with. A trace that
// has not reached the target by the limit ends there, so that what is learnt is not what happened to succeed.
//
// train.py compiles this file into a shared library: g++ -O2 -std=c++17 -shared -fPIC -pthread countdown.cpp

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace {

// The vocabulary; countdown.py holds the same table as text.
enum Token : uint8_t { kPad, kBos, kEos, kStep, kPlus, kMinus, kTimes, kDivide, kEquals, kComma, kColon,
                       kGo, kDead, kNo, kYes, kBack, kAns, kDigit0 };

constexpr int kMaxNumbers = 4;
constexpr int kMaxResult = 999;
constexpr int kTargetLow = 10;

struct Options {           // mirrored in countdown.py
    int32_t largest;       // of the given numbers
    int32_t target_high;
    int32_t three_percent; // problems with three numbers, in percent
    int32_t max_tokens;    // of a whole trace, prompt included
    int32_t oracle3;       // percent of choices biased towards a solution, with three numbers left
    int32_t oracle4;       // the same with four
    int32_t dead3;         // percent of hopeless pairs given up unseen
    int32_t leave;         // percent chance to go back to the start after each failure in a hopeless three-number state
    int32_t rollouts;      // write independent tries; three_percent must be 100
    int32_t most_openings; // at most so many first moves from which the target can be reached; 0: any number
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
int moves_of(const State& s, Move* out) {
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

State after(const State& s, const Move& m) {
    State t;
    for (int k = 0; k < s.n; ++k)
        if (k != m.i && k != m.j) t.v[t.n++] = s.v[k];
    t.v[t.n++] = m.result;
    return t;
}

bool solvable(const State& s, int target) {
    if (s.n == 1) return s.v[0] == target;
    Move m[kMaxMoves];
    const int n = moves_of(s, m);
    for (int k = 0; k < n; ++k)
        if (solvable(after(s, m[k]), target)) return true;
    return false;
}

void reachable(const State& s, std::vector<int>& out) {
    if (s.n == 1) { out.push_back(s.v[0]); return; }
    Move m[kMaxMoves];
    const int n = moves_of(s, m);
    for (int k = 0; k < n; ++k) reachable(after(s, m[k]), out);
}

// FNV-1a over "a,b,c:target" with the numbers in ascending order, so that every order of a problem falls in one split.
// hash % 16: 0 held out for evaluation, 1 for calibration, the rest for training.
uint64_t canonical_hash(const Problem& p) {
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

bool in_split(const Problem& p, int split) {
    const int bucket = static_cast<int>(canonical_hash(p) % 16);
    return split == kTraining ? bucket > 1 : bucket == split;
}

int openings(const State& s, int target) {
    Move m[kMaxMoves];
    const int n = moves_of(s, m);
    return static_cast<int>(std::count_if(m, m + n, [&](const Move& move) { return solvable(after(s, move), target); }));
}

// Uniform numbers, then a target drawn uniformly from the distinct ones that can be reached.
Problem draw_problem(Rng& rng, const Options& o, int split) {
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

class Writer {
public:
    Writer(Rng& rng, const Options& o) : rng_(rng), o_(o) {}

    // Returns false if the search gave up or ran over the limit.
    bool write(const Problem& p, int* prompt_tokens) {
        out_.clear();
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
        root_ = s;
        path_.clear();
        if (o_.rollouts) return roll_out(s);
        return explore(s) && static_cast<int>(out_.size()) <= o_.max_tokens;
    }
    const std::vector<uint8_t>& tokens() const { return out_; }

private:
    void put(uint8_t t) { out_.push_back(t); }
    void number(int v) {
        char digits[12];
        int n = 0;
        do digits[n++] = static_cast<char>(v % 10); while (v /= 10);
        while (n) put(static_cast<uint8_t>(kDigit0 + digits[--n]));
    }
    void numbers(const State& s) {
        for (int k = 0; k < s.n; ++k) { if (k) put(kComma); number(s.v[k]); }
    }
    void equation(const State& s, const Move& m) {
        number(s.v[m.i]); put(m.op); number(s.v[m.j]); put(kEquals); number(m.result);
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
        for (const auto& step : path_) { equation(step.first, step.second); put(kComma); }
        equation(s, last);
        put(kEos);
    }

    // Tries until one succeeds or the limit cuts the trace off; true, since either is a trace to learn from.
    bool roll_out(const State& s) {
        Move m[kMaxMoves];
        const int n = moves_of(s, m);
        while (static_cast<int>(out_.size()) < o_.max_tokens) {
            const Move pick = either_order(m[rng_.below(n)]);
            const State next = after(s, pick);
            equation(s, pick);
            Move last[kMaxMoves];
            if (moves_of(next, last) == 0) { put(kDead); put(kStep); continue; }
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
        const Move pick = either_order(good.empty() ? m[rng_.below(n)] : good[static_cast<size_t>(rng_.below(static_cast<int>(good.size())))]);
        equation(s, pick);
        put(good.empty() ? kNo : kYes);
        put(kStep);
        if (!good.empty()) answer(s, pick);
        return !good.empty();
    }

    // Two numbers left: the solution if there is one, else one or two vain tries.
    bool finish(const State& s) {
        Move m[kMaxMoves];
        int n = moves_of(s, m);
        std::vector<Move> good;
        for (int k = 0; k < n; ++k) if (m[k].result == target_) good.push_back(m[k]);
        if (!good.empty()) {
            const Move pick = either_order(good[rng_.below(static_cast<int>(good.size()))]);
            equation(s, pick); put(kYes); put(kStep);
            answer(s, pick);
            return true;
        }
        for (int tries = rng_.percent(80) ? 1 : 2; tries > 0 && n > 0; --tries) {
            const int k = rng_.below(n);
            const Move pick = either_order(m[k]);
            m[k] = m[--n];
            equation(s, pick); put(kNo); put(kStep);
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
                for (int c = 0; c < n; ++c) if (good[c] && rng_.below(++solving) == 0) k = c;
            }
            const Move pick = either_order(m[k]);
            const bool promising = good[k];
            m[k] = m[--n];
            good[k] = good[n];
            equation(s, pick);
            bool moved = false;  // is another state than s the last one written?
            if (!promising && rng_.percent(s.n == 3 ? o_.dead3 : o_.dead3 / 4)) {
                put(kDead); put(kStep);
            } else {
                put(kGo);
                const State next = listed(after(s, pick));
                path_.push_back({s, pick});
                if (next.n == 2 ? finish(next) : explore(next)) return true;
                path_.pop_back();
                moved = true;
            }
            if (!at_root && (n == 0 || rng_.percent(hopeful ? o_.leave / 8 : o_.leave))) return false;
            if (moved) { put(kBack); s = relisted(s, m, n); }
        }
        return false;
    }
    // Writes the state in a new order and keeps the untried moves pointing at the same numbers.
    State relisted(const State& s, Move* m, int n) {
        int order[kMaxNumbers] = {0, 1, 2, 3}, where[kMaxNumbers] = {};
        for (int k = s.n - 1; k > 0; --k) std::swap(order[k], order[rng_.below(k + 1)]);
        State t;
        t.n = s.n;
        for (int k = 0; k < s.n; ++k) { t.v[k] = s.v[order[k]]; where[order[k]] = k; }
        for (int k = 0; k < n; ++k) { m[k].i = where[m[k].i]; m[k].j = where[m[k].j]; }
        numbers(t);
        put(kStep);
        return t;
    }

    Rng& rng_;
    const Options& o_;
    int target_ = 0;
    State root_;
    std::vector<std::pair<State, Move>> path_;
    std::vector<uint8_t> out_;
};

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
        for (; at_ < end_ && *at_ >= kDigit0 && *at_ < kDigit0 + 10 && digits < 7; ++at_, ++digits) value = value * 10 + *at_ - kDigit0;
        return digits == 0 || digits > 6 ? -1 : value;
    }

private:
    const uint8_t *at_, *end_;
};

bool holds(int64_t x, Token op, int64_t y, int64_t result) {
    if (op == kPlus) return x + y == result;
    if (op == kMinus) return x - y == result;
    if (op == kTimes) return x * y == result;
    return op == kDivide && y != 0 && x % y == 0 && x / y == result;
}

// Does the line behind the last step boundary answer the problem, every number used once and each equation true?
bool solved(const int32_t* problem, const uint8_t* row, int size) {
    const uint8_t* end = std::find(row, row + size, kEos);
    if (end == row + size) return false;
    const uint8_t* line = end;
    while (line != row && line[-1] != kStep) --line;
    std::vector<int> left;
    for (int k = 0; k < kMaxNumbers; ++k) if (problem[k] > 0) left.push_back(problem[k]);
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

template <class Body>
void in_threads(int64_t n, int threads, Body body) {
    std::vector<std::thread> pool;
    for (int t = 0; t < threads; ++t)
        pool.emplace_back([=] { body(t, n * t / threads, n * (t + 1) / threads); });
    for (auto& t : pool) t.join();
}

Rng stream(uint64_t seed, int64_t index) { Rng r{seed * 0x2545F4914F6CDD1Dull}; r.s = r.next() + static_cast<uint64_t>(index); return Rng{r.next()}; }

}  // namespace

extern "C" {

// Fills rows of max_tokens tokens (padded with 0) with n successful traces of the training split, and their lengths.
// Returns how many searches were written to get them.
int64_t countdown_traces(const Options* options, uint64_t seed, int64_t n, int threads, uint8_t* tokens, int32_t* lengths,
                         int32_t* prompt_lengths) {
    std::vector<int64_t> written(static_cast<size_t>(threads), 0);
    in_threads(n, threads, [&, options](int thread, int64_t begin, int64_t end) {
        const Options o = *options;
        for (int64_t row = begin; row < end; ++row) {
            Rng rng = stream(seed, row);
            Writer writer(rng, o);
            int prompt = 0;
            do ++written[static_cast<size_t>(thread)]; while (!writer.write(draw_problem(rng, o, kTraining), &prompt));
            uint8_t* out = tokens + row * o.max_tokens;
            std::memset(out, kPad, static_cast<size_t>(o.max_tokens));
            std::copy(writer.tokens().begin(), writer.tokens().end(), out);
            lengths[row] = static_cast<int32_t>(writer.tokens().size());
            prompt_lengths[row] = prompt;
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
