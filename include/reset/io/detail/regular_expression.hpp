/// @file
/// Regular expressions for the exclusion lists of checkpoints, safe on any input.
#pragma once

#include <bitset>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reset/io/detail/message.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// A regular expression that has to match at the start of a text, as Python's `re.match`: literals, . [] () (?:) | * +
/// ? {m} {m,} {,n} {m,n} ^ $, and the escapes of punctuation and \\d \\s \\w \\D \\S \\W. Matching takes time in the
/// product of the lengths, whatever the expression.
///
/// Not std::regex: libstdc++'s overflows on numbers in the expression, backtracks exponentially unless told otherwise
/// by an extension, makes GCC 12 warn under the sanitizers, and costs every translation unit five seconds.
class RegularExpression {
 public:
  /// Throws `Error` in the name of `file` for what is not understood.
  RegularExpression(std::string_view pattern, std::string_view file) : pattern_(pattern), file_(file) {
    constexpr std::size_t kLongest = 256;
    if (pattern.size() > kLongest) refuse(std::to_string(pattern.size()) + " characters", "at most 256");
    const std::size_t root = parse_alternatives();
    if (next_ != pattern_.size()) refuse("unbalanced", "one '(' for each ')'");
    states_.push_back({Kind::kAccept, 0, 0, 0});
    start_ = compile(root, 0);
    nodes_.clear();
    pattern_ = file_ = {};
  }

  /// Whether some beginning of `text`, or all of it, matches.
  bool matches_start_of(std::string_view text) const {
    std::vector<std::size_t> current, following;
    std::vector<bool> seen(states_.size());
    for (std::size_t at = 0;; ++at) {
      following.clear();
      if (at == 0) follow(start_, text, at, seen, following);
      for (const std::size_t state : current) {
        const auto byte = static_cast<unsigned char>(text[at - 1]);
        if (sets_[states_[state].set].test(byte)) follow(states_[state].out, text, at, seen, following);
      }
      if (seen[0]) return true;
      if (following.empty() || at == text.size()) return false;
      current.swap(following);
      seen.assign(seen.size(), false);
    }
  }

 private:
  enum class Kind : unsigned char { kAccept, kSet, kSplit, kBegin, kEnd };
  enum class Form : unsigned char { kEmpty, kSet, kSequence, kAlternative, kStar, kPlus, kOptional, kBegin, kEnd };
  using Set = std::bitset<256>;

  // The tree of the expression, while it is compiled; a and b are nodes, or a is a set.
  struct Node {
    Form form;
    std::size_t a;
    std::size_t b;
  };

  // A state that reads a byte of the set, or one that leads on without reading.
  struct State {
    Kind kind;
    std::size_t set;
    std::size_t out;
    std::size_t other;
  };

  [[noreturn]] void refuse(std::string_view found, std::string_view expectation) const {
    fail(file_, "regular expression " + in_quotes(pattern_), found, expectation);
  }

  bool at_end() const { return next_ == pattern_.size(); }
  bool accept(std::string_view token) {
    if (pattern_.substr(next_, token.size()) != token) return false;
    next_ += token.size();
    return true;
  }

  std::size_t add(Form form, std::size_t a = 0, std::size_t b = 0) {
    nodes_.push_back({form, a, b});
    return nodes_.size() - 1;
  }
  std::size_t add(const Set& set) {
    sets_.push_back(set);
    return add(Form::kSet, sets_.size() - 1);
  }

  std::size_t parse_alternatives() {
    std::size_t node = parse_sequence();
    while (accept("|")) node = add(Form::kAlternative, node, parse_sequence());
    return node;
  }

  std::size_t parse_sequence() {
    std::size_t node = add(Form::kEmpty);
    while (!at_end() && pattern_[next_] != '|' && pattern_[next_] != ')') {
      node = add(Form::kSequence, node, parse_repetition());
    }
    return node;
  }

  std::size_t parse_repetition() {
    const std::size_t node = parse_atom();
    const Form form = accept("*")   ? Form::kStar
                      : accept("+") ? Form::kPlus
                      : accept("?") ? Form::kOptional
                                    : Form::kEmpty;
    if (form == Form::kEmpty && !accept("{")) return node;
    const std::size_t repeated = form == Form::kEmpty ? parse_counts(node) : add(form, node);
    accept("?");  // Whether it prefers few repetitions does not change what matches.
    return repeated;
  }

  // `node` as often as the braces say, whose '{' has been read: copies, of which the last ones may be left out.
  std::size_t parse_counts(std::size_t node) {
    const std::size_t first = next_;
    const std::optional<std::size_t> least = parse_count();
    const bool is_range = accept(",");
    const std::optional<std::size_t> most = is_range ? parse_count() : least;
    const bool is_empty = next_ == first;
    if (is_empty || !accept("}") || (most && *most < least.value_or(0))) {
      refuse("not understood", "{m}, {m,}, {,n} or {m,n} with m <= n in braces");
    }
    std::size_t rest = most ? add(Form::kEmpty) : add(Form::kStar, node);
    for (std::size_t i = least.value_or(0); most && i < *most; ++i) {
      rest = add(Form::kOptional, add(Form::kSequence, node, rest));
    }
    for (std::size_t i = 0; i < least.value_or(0); ++i) rest = add(Form::kSequence, node, rest);
    return rest;
  }

  // Nothing if there is no digit.
  std::optional<std::size_t> parse_count() {
    constexpr std::size_t kMost = 255;
    std::optional<std::size_t> count;
    while (!at_end() && pattern_[next_] >= '0' && pattern_[next_] <= '9') {
      count = count.value_or(0) * 10 + static_cast<std::size_t>(pattern_[next_++] - '0');
      if (*count > kMost) refuse("too long when written out", "at most 255 repetitions");
    }
    return count;
  }

  std::size_t parse_atom() {
    if (accept("(")) {
      if (!accept("?:") && accept("?")) refuse("unsupported", "no group that begins with '(?' except '(?:'");
      const std::size_t node = parse_alternatives();
      if (!accept(")")) refuse("unbalanced", "one ')' for each '('");
      return node;
    }
    if (accept("^")) return add(Form::kBegin);
    if (accept("$")) return add(Form::kEnd);
    if (accept(".")) return add(~range('\n', '\n'));
    if (accept("[")) return add(parse_class());
    if (accept("\\")) return add(parse_escape());
    const char c = pattern_[next_++];
    if (c == '*' || c == '+' || c == '?' || c == '{') refuse("unsupported", "* + ? {} after what they repeat");
    return add(range(c, c));
  }

  Set parse_class() {
    const bool negated = accept("^");
    Set set;
    bool first = true;
    while (first || !accept("]")) {
      first = false;
      if (at_end()) refuse("unbalanced", "a ']' for each '['");
      if (accept("\\")) {
        set |= parse_escape();
        continue;
      }
      const char low = pattern_[next_++];
      char high = low;
      if (next_ + 1 < pattern_.size() && pattern_[next_] == '-' && pattern_[next_ + 1] != ']') {
        high = pattern_[next_ + 1];
        next_ += 2;
        if (static_cast<unsigned char>(high) < static_cast<unsigned char>(low) || high == '\\') {
          refuse("not understood", "ranges from a lower to a higher character");
        }
      }
      set |= range(low, high);
    }
    return negated ? ~set : set;
  }

  Set parse_escape() {
    if (at_end()) refuse("unfinished", "a character after '\\'");
    const char c = pattern_[next_++];
    const Set digit = range('0', '9');
    const Set space = range(' ', ' ') | range('\t', '\r');
    const Set word = digit | range('a', 'z') | range('A', 'Z') | range('_', '_');
    switch (c) {
      case 'd':
        return digit;
      case 'D':
        return ~digit;
      case 's':
        return space;
      case 'S':
        return ~space;
      case 'w':
        return word;
      case 'W':
        return ~word;
      default:
        break;
    }
    if (word.test(static_cast<unsigned char>(c)) && c != '_')
      refuse("unsupported", "escapes of punctuation, d, s and w");
    return range(c, c);
  }

  static Set range(char low, char high) {
    Set set;
    for (unsigned c = static_cast<unsigned char>(low); c <= static_cast<unsigned char>(high); ++c) set.set(c);
    return set;
  }

  std::size_t add_state(Kind kind, std::size_t set, std::size_t out, std::size_t other = 0) {
    states_.push_back({kind, set, out, other});
    return states_.size() - 1;
  }

  // The state at which `node` begins if `next` is what follows it.
  std::size_t compile(std::size_t node, std::size_t next) {
    constexpr std::size_t kMost = 4096;
    if (++compiled_ > kMost) refuse("too long when its repetitions are written out", "at most 4096 parts");
    const auto [form, a, b] = nodes_[node];
    switch (form) {
      case Form::kEmpty:
        return next;
      case Form::kSet:
        return add_state(Kind::kSet, a, next);
      case Form::kBegin:
        return add_state(Kind::kBegin, 0, next);
      case Form::kEnd:
        return add_state(Kind::kEnd, 0, next);
      case Form::kSequence:
        return compile(a, compile(b, next));
      case Form::kAlternative: {
        const std::size_t left = compile(a, next);
        return add_state(Kind::kSplit, 0, left, compile(b, next));
      }
      case Form::kOptional:
        return add_state(Kind::kSplit, 0, compile(a, next), next);
      case Form::kStar:
      case Form::kPlus:
        break;
    }
    const std::size_t loop = add_state(Kind::kSplit, 0, next, next);
    const std::size_t body = compile(a, loop);
    states_[loop].out = body;
    return form == Form::kStar ? loop : body;
  }

  // Adds to `reached` the states that read a byte and can be reached from `state` without reading one.
  void follow(std::size_t state, std::string_view text, std::size_t at, std::vector<bool>& seen,
              std::vector<std::size_t>& reached) const {
    std::vector<std::size_t> pending = {state};
    while (!pending.empty()) {
      const std::size_t index = pending.back();
      pending.pop_back();
      if (seen[index]) continue;
      seen[index] = true;
      const State& here = states_[index];
      if (here.kind == Kind::kSet) reached.push_back(index);
      if (here.kind == Kind::kSplit) pending.insert(pending.end(), {here.out, here.other});
      if ((here.kind == Kind::kBegin && at == 0) || (here.kind == Kind::kEnd && at == text.size())) {
        pending.push_back(here.out);
      }
    }
  }

  std::string_view pattern_;
  std::string_view file_;
  std::size_t next_ = 0;
  std::vector<Node> nodes_;
  std::vector<Set> sets_;
  std::vector<State> states_;
  std::size_t compiled_ = 0;
  std::size_t start_ = 0;
};

}  // namespace detail
RESET_NAMESPACE_END
