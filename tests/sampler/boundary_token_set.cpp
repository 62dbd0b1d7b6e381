#include <reset/sampler/boundary/token_set.hpp>

#include "boundary_support.hpp"
#include "support/catch.hpp"

using namespace boundary_test;

namespace {

// The published rule as it is written: a test of the texts of all tokens generated so far.
std::string published_rule(const std::vector<std::string>& texts, const std::vector<std::int32_t>& tokens) {
  std::string marks;
  std::vector<std::string> generated;
  for (const std::int32_t token : tokens) {
    generated.push_back(texts[static_cast<std::size_t>(token)]);
    const std::size_t n = generated.size();
    const bool contains = generated[n - 1].find("\n\n") != std::string::npos;
    const bool twice = n >= 2 && generated[n - 1] == "\n" && generated[n - 2] == "\n";
    marks += contains || twice ? '|' : '.';
  }
  return marks;
}

const std::vector<std::string> kTexts = {"a",      "\n",      "\n\n", ".\n\n", "\n\nb", "\r\n\r\n",
                                         ".\n",    " ",       "\n",   "\n \n", "",      std::string("\0\n\n", 3),
                                         "\n\n\n", "\xc3\xa9"};

}  // namespace

TEST_CASE("the published rule agrees with its naive form over long random streams") {
  std::mt19937 random(20);
  for (int round = 0; round < 40; ++round) {
    // More tokens than one word of the table holds, and newlines often enough to make runs.
    std::vector<std::string> texts = kTexts;
    const std::size_t count = 14 + random() % 60;
    while (texts.size() < count) texts.push_back(kTexts[random() % kTexts.size()]);
    const auto table = reset::TokenSetTable::published_rule(make_vocabulary(texts));
    const auto tokens = random_tokens(random, 25000, count);
    const std::string expected = published_rule(texts, tokens);
    REQUIRE(expected.find("|") != std::string::npos);
    REQUIRE(expected.find(".") != std::string::npos);
    CHECK(boundaries(table.detector(), tokens) == expected);
  }
}

TEST_CASE("every newline of a run from the second on is a boundary") {
  const auto table = reset::TokenSetTable::published_rule(make_vocabulary(kTexts));
  CHECK(boundaries(table.detector(), {0, 1, 1, 1, 1, 0, 1, 0, 1}) == "..|||....");
  // Two tokens with the text "\n" under different ids are two newlines; what lies between breaks the run.
  CHECK(boundaries(table.detector(), {1, 8, 1, 7, 8, 10, 1}) == ".||....");
  // "\n\n" between two newlines is a boundary of its own and breaks the run.
  CHECK(boundaries(table.detector(), {1, 2, 1, 1}) == ".|.|");
}

TEST_CASE("the rule is about tokens and misses what spans them") {
  const auto table = reset::TokenSetTable::published_rule(make_vocabulary(kTexts));
  CHECK(boundaries(table.detector(), {6, 1, 5, 9, 6, 6}) == "......");
}

TEST_CASE("the first token can be a boundary and the prompt never is") {
  const auto table = reset::TokenSetTable::published_rule(make_vocabulary(kTexts));
  CHECK(boundaries(table.detector(), {2}) == "|");
  CHECK(boundaries(table.detector(), {1}) == ".");
}

TEST_CASE("ids outside the vocabulary are placeholders: no boundary, nothing read, the run goes on") {
  const auto table = reset::TokenSetTable::published_rule(make_vocabulary(kTexts));
  const auto outside = static_cast<std::int32_t>(kTexts.size());
  CHECK(boundaries(table.detector(), {-1, outside, 2147483647, -2147483647 - 1}) == "....");
  CHECK(boundaries(table.detector(), {1, -1, outside, 1, 0, -1, 1}) == "...|...");
}

TEST_CASE("sets of ids of your own") {
  const reset::TokenSetTable table(151936, {271, 382, 151935, 0}, {198});
  CHECK(boundaries(table.detector(), {0, 271, 270, 272, 382, 198, 198, 198, 151935, 151934, 151936}) == "||..|.|||..");
  CHECK(table.size_bytes() < 39000);
  CHECK(boundaries(reset::TokenSetTable(1, {0}).detector(table.data()), {0, 198}) == "|.");
}

TEST_CASE("a token of both sets is a boundary and begins a run") {
  const reset::TokenSetTable table(4, {1}, {1, 2});
  CHECK(boundaries(table.detector(), {1, 2, 0, 2, 2}) == "||..|");
}

TEST_CASE("a state can be exported and imported between any two tokens") {
  std::mt19937 random(21);
  const auto table = reset::TokenSetTable::published_rule(make_vocabulary(kTexts));
  const auto tokens = random_tokens(random, 2000, kTexts.size());
  CHECK(boundaries_with_exports(table.detector(), tokens) == published_rule(kTexts, tokens));
}

TEST_CASE("a table that moves keeps its detectors, and a copy of its words serves as well") {
  auto table = reset::TokenSetTable::published_rule(make_vocabulary(kTexts));
  const reset::TokenSetDetector detector = table.detector();
  const std::vector<std::uint32_t> words(table.data(), table.data() + table.size_bytes() / sizeof(std::uint32_t));
  const reset::TokenSetTable moved = std::move(table);
  CHECK(boundaries(detector, {2, 0, 1, 1}) == "|..|");
  CHECK(boundaries(moved.detector(words.data()), {2, 0, 1, 1}) == "|..|");
}

TEST_CASE("what cannot be a token set is refused") {
  CHECK_THROWS_WITH(reset::TokenSetTable(0, {}), "invalid argument: vocabulary_size is 0, expected 1..2147483647");
  CHECK_THROWS_WITH(reset::TokenSetTable(10, {10}),
                    "invalid argument: boundary_ids[] is 10, expected a token id below vocabulary_size");
  CHECK_THROWS_WITH(reset::TokenSetTable(10, {1}, {-1}),
                    "invalid argument: newline_ids[] is -1, expected a token id below vocabulary_size");
  CHECK_THROWS_AS(reset::TokenSetTable(std::size_t{1} << 40, {}), reset::Error);
  CHECK_THROWS_AS(reset::TokenSetTable::published_rule({}), reset::Error);
}
