#include <algorithm>
#include <string>
#include <vector>

#include <reset/io/detail/regular_expression.hpp>

#include "io/support.hpp"
#include "support/catch.hpp"

using reset::detail::RegularExpression;

namespace {

bool matches(const std::string& pattern, const std::string& text) {
  return RegularExpression(pattern, "f").matches_start_of(text);
}

std::string message_for(const std::string& pattern) {
  return io_test::message_of([&] { RegularExpression(pattern, "f"); });
}

// Backtracking by the definition of each operator, for expressions of a, b, ., |, *, +, ?, {m,n} and groups:
// what the
// automaton is compared with.
class Naive {
 public:
  Naive(const std::string& pattern, const std::string& text) : pattern_(pattern), text_(text) {}

  bool matches() const { return !ends(0, pattern_.size(), 0).empty(); }

 private:
  using Positions = std::vector<std::size_t>;

  static void unite(Positions& into, const Positions& from) {
    for (const std::size_t p : from) {
      if (std::find(into.begin(), into.end(), p) == into.end()) into.push_back(p);
    }
  }

  std::size_t end_of_atom(std::size_t begin) const {
    if (pattern_[begin] != '(') return begin + 1;
    int depth = 0;
    for (std::size_t i = begin;; ++i) {
      depth += pattern_[i] == '(' ? 1 : pattern_[i] == ')' ? -1 : 0;
      if (depth == 0) return i + 1;
    }
  }

  // Where pattern [begin, end) can end if it starts at `at`.
  Positions ends(std::size_t begin, std::size_t end, std::size_t at) const {
    for (std::size_t i = begin; i < end; i = end_of_atom(i)) {
      if (pattern_[i] != '|') continue;
      Positions result = ends(begin, i, at);
      unite(result, ends(i + 1, end, at));
      return result;
    }
    if (begin == end) return {at};
    const std::size_t atom_end = end_of_atom(begin);
    const Repeat repeat = repeat_at(atom_end, end);
    Positions reached;
    Positions frontier = {at};
    for (std::size_t i = 0;; ++i) {
      if (i >= repeat.least) unite(reached, frontier);
      if (i == repeat.most || i > repeat.least + text_.size()) break;
      Positions further;
      for (const std::size_t p : frontier) unite(further, atom(begin, atom_end, p));
      frontier = further;
    }
    Positions result;
    for (const std::size_t p : reached) unite(result, ends(atom_end + repeat.length, end, p));
    return result;
  }

  struct Repeat {
    std::size_t least, most, length;
  };

  // The repetition that begins at `at`, if there is one; counts have one digit.
  Repeat repeat_at(std::size_t at, std::size_t end) const {
    constexpr std::size_t kUnbounded = 1000;
    const std::string rest = pattern_.substr(at, end - at);
    if (rest.empty()) return {1, 1, 0};
    if (rest[0] == '*') return {0, kUnbounded, 1};
    if (rest[0] == '+') return {1, kUnbounded, 1};
    if (rest[0] == '?') return {0, 1, 1};
    if (rest[0] != '{') return {1, 1, 0};
    const std::size_t least = static_cast<std::size_t>(rest[1] - '0');
    if (rest[2] == '}') return {least, least, 3};
    if (rest[3] == '}') return {least, kUnbounded, 4};
    return {least, static_cast<std::size_t>(rest[3] - '0'), 5};
  }

  Positions atom(std::size_t begin, std::size_t end, std::size_t at) const {
    if (pattern_[begin] == '(') return ends(begin + 1, end - 1, at);
    if (at < text_.size() && (pattern_[begin] == '.' || pattern_[begin] == text_[at])) return {at + 1};
    return {};
  }

  const std::string& pattern_;
  const std::string& text_;
};

class Random {
 public:
  unsigned below(unsigned n) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<unsigned>(state_ >> 40) % n;
  }

  std::string pattern(int depth) {
    std::string result;
    for (unsigned i = 0, n = 1 + below(3); i < n; ++i) {
      const unsigned kind = below(depth > 0 ? 6 : 4);
      result += kind < 2    ? "a"
                : kind == 2 ? "b"
                : kind == 3 ? "."
                            : "(" + pattern(depth - 1) + "|" + pattern(depth - 1) + ")";
      const unsigned repeat = below(9);
      const char least = static_cast<char>('0' + below(3));
      if (repeat < 3) result += "*+?"[repeat];
      if (repeat == 3) result += {'{', least, '}'};
      if (repeat == 4) result += {'{', least, ',', '}'};
      if (repeat == 5) result += {'{', least, ',', static_cast<char>(least + static_cast<char>(below(2))), '}'};
    }
    return result;
  }

  std::string text() {
    std::string result;
    for (unsigned i = 0, n = below(7); i < n; ++i) result += "aab"[below(3)];
    return result;
  }

 private:
  unsigned long long state_ = 1;
};

}  // namespace

TEST_CASE("the expressions found in exclusion lists") {
  CHECK(matches(".*lm_head", "model.lm_head"));
  CHECK(matches(".*mlp\\.gate$", "model.layers.3.mlp.gate"));
  CHECK_FALSE(matches(".*mlp\\.gate$", "model.layers.3.mlp.gate_proj"));
  CHECK_FALSE(matches(".*mlp\\.gate$", "model.layers.3.mlpxgate"));
  CHECK(matches("visual", "visual.blocks.0"));
  CHECK_FALSE(matches("visual", "model.visual"));
  CHECK(matches("^model\\.layers\\.(0|1[0-9])\\..*self_attn.*", "model.layers.17.self_attn.q_proj"));
  CHECK_FALSE(matches("^model\\.layers\\.(0|1[0-9])\\..*self_attn.*", "model.layers.1.self_attn.q_proj"));
  CHECK(matches("(?:language_)?model\\.layers\\.\\d+$", "language_model.layers.42"));
  CHECK_FALSE(matches("(?:language_)?model\\.layers\\.\\d+$", "model.layers.42x"));
  CHECK(matches("", "anything"));
  CHECK(matches("a|", ""));
  CHECK(matches("$", ""));
  CHECK_FALSE(matches("a^", "a"));
}

TEST_CASE("sets and escapes") {
  CHECK(matches("[a-c_]+$", "b_ac"));
  CHECK_FALSE(matches("[a-c_]+$", "bd"));
  CHECK(matches("[^a-c]$", "d"));
  CHECK_FALSE(matches("[^a-c]", "b"));
  CHECK(matches("[]x]+$", "x]"));
  CHECK(matches("[a-]+$", "-a"));
  CHECK(matches("[\\d.]+$", "1.5"));
  CHECK(matches("\\w\\W\\s\\S\\D$", "a- bc"));
  CHECK_FALSE(matches("\\w", "-"));
  CHECK(matches("\\(\\)\\[\\]\\*\\\\$", "()[]*\\"));
  CHECK_FALSE(matches(".", "\n"));
  CHECK(matches(".", "\xff"));
  CHECK(matches("a.*?b", "a--b"));
}

TEST_CASE("counted repetitions") {
  CHECK(matches("model\\.layers\\.\\d{1,2}$", "model.layers.17"));
  CHECK_FALSE(matches("model\\.layers\\.\\d{1,2}$", "model.layers.170"));
  CHECK(matches("a{3}$", "aaa"));
  CHECK_FALSE(matches("a{3}$", "aa"));
  CHECK_FALSE(matches("a{3}$", "aaaa"));
  CHECK(matches("a{0}b", "b"));
  CHECK_FALSE(matches("a{0}b", "ab"));
  CHECK(matches("(ab|c){2,}?$", "abcab"));
  CHECK_FALSE(matches("(ab|c){2,}$", "ab"));
  CHECK(matches("a{,2}b", "aab"));
  CHECK_FALSE(matches("a{,2}b", "aaab"));
  CHECK(matches("a{,}b", "aaaab"));
  CHECK(matches("a\\{2}$", "a{2}"));
  CHECK(matches("a{255}$", std::string(255, 'a')));
  CHECK_FALSE(matches("a{255}$", std::string(254, 'a')));
}

TEST_CASE("the automaton agrees with backtracking") {
  Random random;
  int matching = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::string pattern = random.pattern(2);
    const std::string text = random.text();
    const bool expected = Naive(pattern, text).matches();
    matching += expected;
    if (matches(pattern, text) != expected) {
      CAPTURE(pattern, text);
      CHECK(matches(pattern, text) == expected);
    }
  }
  CHECK(matching > 2000);
  CHECK(matching < 18000);
}

TEST_CASE("no expression takes long") {
  const std::string text = std::string(5000, 'a') + "c";
  CHECK_FALSE(matches("(a*)*b", text));
  CHECK_FALSE(matches("(a|aa)+$", text));
  std::string nested = "a*";
  while (nested.size() < 250) nested = "(" + nested + ")*";
  CHECK_FALSE(matches(nested + "b", text));
}

TEST_CASE("what is not understood is refused") {
  const auto start = [](const std::string& pattern) { return "f: regular expression \"" + pattern + "\" is "; };
  CHECK(message_for("(") == start("(") + "unbalanced, expected one ')' for each '('");
  CHECK(message_for("a)") == start("a)") + "unbalanced, expected one '(' for each ')'");
  CHECK(message_for("[a") == start("[a") + "unbalanced, expected a ']' for each '['");
  CHECK(message_for("[") == start("[") + "unbalanced, expected a ']' for each '['");
  CHECK(message_for("[z-a]") == start("[z-a]") + "not understood, expected ranges from a lower to a higher character");
  CHECK(message_for("*a") == start("*a") + "unsupported, expected * + ? {} after what they repeat");
  CHECK(message_for("{2}a") == start("{2}a") + "unsupported, expected * + ? {} after what they repeat");
  CHECK(message_for("a{2}*") == start("a{2}*") + "unsupported, expected * + ? {} after what they repeat");
  for (const char* pattern : {"a{", "a{}", "a{2", "a{2,", "a{2,1}", "a{x}", "a{ 2}", "a{-1}", "a{2,3,4}"}) {
    CHECK(message_for(pattern) ==
          start(pattern) + "not understood, expected {m}, {m,}, {,n} or {m,n} with m <= n in braces");
  }
  for (const char* pattern : {"a{256}", "a{1,256}", "a{99999999999999999999999}"}) {
    CHECK(message_for(pattern) == start(pattern) + "too long when written out, expected at most 255 repetitions");
  }
  for (const char* pattern :
       {"((a{255}){255}){255}", "(((((){255}){255}){255}){255}){255}", "((a{0,200}){0,200}){0,200}"}) {
    CHECK(message_for(pattern) ==
          start(pattern) + "too long when its repetitions are written out, expected at most 4096 parts");
  }
  CHECK(message_for("(?!a)") == start("(?!a)") + "unsupported, expected no group that begins with '(?' except '(?:'");
  CHECK(message_for("\\") == start("\\") + "unfinished, expected a character after '\\'");
  for (const char* pattern : {"(a)\\1", "\\x41", "\\b", "[\\n]", "\\184467440737095516159"}) {
    CHECK(message_for(pattern) == start(pattern) + "unsupported, expected escapes of punctuation, d, s and w");
  }
  CHECK_THAT(message_for(std::string(257, 'a')), Catch::Matchers::EndsWith("is 257 characters, expected at most 256"));
  CHECK_NOTHROW(RegularExpression(std::string(128, '(') + std::string(128, ')'), "f"));
}
