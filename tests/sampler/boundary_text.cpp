#include <algorithm>

#include <reset/sampler/boundary/text_delimiters.hpp>

#include "boundary_support.hpp"
#include "support/catch.hpp"

using namespace boundary_test;

namespace {

using Strings = std::vector<std::string>;

// The definition, by string search: does an occurrence of a delimiter end among the bytes of the token?
std::string by_search(const reset::Vocabulary& vocabulary, const Strings& delimiters,
                      const std::vector<std::int32_t>& tokens) {
  std::string marks;
  std::string text;  // Since the last special token.
  for (const std::int32_t token : tokens) {
    const auto id = static_cast<std::size_t>(token);
    if (vocabulary.special[id] != 0) {
      text.clear();
      marks += '.';
      continue;
    }
    const std::size_t begin = text.size();
    text += vocabulary.bytes[id];
    bool found = false;
    for (const std::string& delimiter : delimiters) {
      const std::size_t from = begin + 1 > delimiter.size() ? begin + 1 - delimiter.size() : 0;
      found = found || text.find(delimiter, from) != std::string::npos;
    }
    marks += found ? '|' : '.';
  }
  return marks;
}

std::string random_text(std::mt19937& random, std::size_t length, const std::string& alphabet) {
  std::string text;
  while (text.size() < length) text += alphabet[random() % alphabet.size()];
  return text;
}

// Over an alphabet of a few letters, so that delimiters occur, overlap and span tokens all the time.
reset::Vocabulary random_vocabulary(std::mt19937& random, std::size_t count, const std::string& alphabet) {
  reset::Vocabulary vocabulary;
  for (std::size_t id = 0; id < count; ++id) vocabulary.set(id, random_text(random, random() % 5, alphabet));
  for (std::size_t id = 0; id < count; id += 17) vocabulary.special[id] = 1;
  return vocabulary;
}

// Returns the number of boundaries.
std::ptrdiff_t check_against_search(std::mt19937& random, const Strings& delimiters, const std::string& alphabet) {
  const std::size_t count = 20 + random() % 80;
  const reset::Vocabulary vocabulary = random_vocabulary(random, count, alphabet);
  const reset::TextDelimiterTable table(vocabulary, delimiters);
  const auto tokens = random_tokens(random, 3000, count);
  const std::string expected = by_search(vocabulary, delimiters, tokens);
  CHECK(boundaries(table.detector(), tokens) == expected);
  return std::count(expected.begin(), expected.end(), '|');
}

std::size_t states_of(const Strings& delimiters) {
  return reset::TextDelimiterTable(make_vocabulary({"a"}), delimiters).states();
}

}  // namespace

TEST_CASE("delimiters are found as a string search finds them") {
  std::mt19937 random(30);
  const std::vector<Strings> lists = {{"\n\n"},      {"\n\n", "\r\n\r\n"},         {"Wait", "Wa", "ait", "t"},
                                      {"aaa", "aa"}, {"aW", "aWa", "aWai", "Wai"}, {"\n\r", "\r\n\n", "i\n"}};
  for (const Strings& delimiters : lists) {
    std::ptrdiff_t found = 0;
    for (int round = 0; round < 10; ++round) found += check_against_search(random, delimiters, "\n\rWait");
    CHECK((found > 10 && found < 29000));
  }
}

TEST_CASE("random delimiters, prefixes and suffixes of each other, are found as a string search finds them") {
  std::mt19937 random(31);
  std::ptrdiff_t found = 0;
  for (int round = 0; round < 150; ++round) {
    Strings delimiters = {random_text(random, 2 + random() % 2, "ab")};
    const std::size_t more = random() % 4;
    for (std::size_t i = 0; i < more; ++i) {
      delimiters.push_back(random_text(random, 2 + random() % 4, "abc"));
      const std::string last = delimiters.back();
      if (random() % 2 == 0) delimiters.push_back(last.substr(0, 1 + random() % last.size()));
      if (random() % 2 == 0) delimiters.push_back(last.substr(random() % last.size()));
    }
    found += check_against_search(random, delimiters, "abcd");
  }
  CHECK((found > 50000 && found < 400000));
}

TEST_CASE("a delimiter split over tokens is found, whatever the split") {
  const reset::Vocabulary vocabulary = make_vocabulary({".\n", "\n", "\n\n", "W", "ai", "t,", "Wait", "x", "\r\n", ""});
  const reset::TextDelimiterTable newlines(vocabulary, {"\n\n"});
  CHECK(boundaries(newlines.detector(), {0, 1, 1, 7, 1, 2, 7, 0, 9, 1}) == ".||..|...|");
  const reset::TextDelimiterTable words(vocabulary, {"Wait", "\r\n\r\n"});
  CHECK(boundaries(words.detector(), {3, 4, 5, 6, 3, 4, 3, 4, 5, 8, 8, 8}) == "..||....|.||");
}

TEST_CASE("the published rule is the text rule where newlines stand alone") {
  const reset::Vocabulary vocabulary = make_vocabulary({"a", "\n", "\n\n", " b"});
  const reset::TextDelimiterTable table(vocabulary, {"\n\n"});
  CHECK(boundaries(table.detector(), {2}) == "|");
  CHECK(boundaries(table.detector(), {1, 1, 1, 0, 1, 3, 1, 1}) == ".||....|");
  // And differs where "\n" follows "\n\n": the text has a second "\n\n" there.
  CHECK(boundaries(table.detector(), {2, 1}) == "||");
}

TEST_CASE("special tokens cut the text, tokens without text and foreign ids do not") {
  const reset::Vocabulary vocabulary = make_vocabulary({"\n", "<sep>", "", "\n\n"}, {1, 3});
  const reset::TextDelimiterTable table(vocabulary, {"\n\n", "sep"});
  CHECK(boundaries(table.detector(), {0, 1, 0, 0}) == "...|");
  CHECK(boundaries(table.detector(), {0, 2, 0}) == "..|");
  CHECK(boundaries(table.detector(), {0, -1, 4, 2147483647, -2147483647 - 1, 0}) == ".....|");
  CHECK(boundaries(table.detector(), {3, 0, 0}) == "..|");
}

TEST_CASE("any byte can be part of a delimiter") {
  const std::string zero("\0\xff", 2);
  const reset::Vocabulary vocabulary = make_vocabulary({std::string("\0", 1), "\xff", zero, "\xe2\x80", "\xa9"});
  const reset::TextDelimiterTable table(vocabulary, {zero, "\xe2\x80\xa9"});
  CHECK(boundaries(table.detector(), {0, 1, 2, 1, 0, 0, 1, 3, 4, 4}) == ".||...|.|.");
}

TEST_CASE("the automaton has no state more than it needs") {
  CHECK(states_of({"\n"}) == 1);
  CHECK(states_of({"\n\n"}) == 2);
  CHECK(states_of({"\n\n", "\n\n"}) == 2);
  CHECK(states_of({"x\n\n", "\n\n"}) == 2);
  CHECK(states_of({"ab", "b"}) == 1);
  CHECK(states_of({"Wait"}) == 4);
  CHECK(states_of({"Wait", "wait"}) == 4);
  CHECK(states_of({"\n\n", "\r\n\r\n"}) == 5);
}

TEST_CASE("a byte a token where 256 classes suffice, two where they do not") {
  reset::Vocabulary vocabulary = make_vocabulary({"\n", "\n\n", "a\n"});
  vocabulary.resize(151936);
  const reset::TextDelimiterTable small(vocabulary, {"\n\n"});
  CHECK(small.states() == 2);
  CHECK(small.classes() == 4);
  CHECK(small.size_bytes() == 151936 + 4 * 2 * sizeof(std::uint16_t));

  // 400 letters of two bytes, each the begin of a delimiter of its own: more than 256 classes.
  std::mt19937 random(32);
  reset::Vocabulary letters;
  Strings delimiters;
  for (std::size_t id = 0; id < 400; ++id) {
    const char letter[] = {static_cast<char>('A' + id / 20), static_cast<char>('a' + id % 20)};
    letters.set(id, std::string(letter, 2));
    delimiters.push_back(std::string(letter, 2) + static_cast<char>('A' + (id * 7 + id / 20) % 20));
  }
  const reset::TextDelimiterTable wide(letters, delimiters);
  CHECK(wide.classes() > 256);
  CHECK(wide.size_bytes() == (wide.classes() * wide.states() + letters.size()) * sizeof(std::uint16_t));
  const auto tokens = random_tokens(random, 20000, letters.size());
  const std::string expected = by_search(letters, delimiters, tokens);
  REQUIRE(expected.find('|') != std::string::npos);
  CHECK(boundaries(wide.detector(), tokens) == expected);
}

TEST_CASE("text states can be exported, and one from a larger table leads nowhere") {
  std::mt19937 random(33);
  const reset::Vocabulary vocabulary = random_vocabulary(random, 60, "ab\n");
  const reset::TextDelimiterTable table(vocabulary, {"\n\n", "aba"});
  const auto tokens = random_tokens(random, 2000, 60);
  CHECK(boundaries_with_exports(table.detector(), tokens) == by_search(vocabulary, {"\n\n", "aba"}, tokens));

  // Whatever is read behind the table would be no state of it.
  std::vector<std::uint16_t> words(table.data(), table.data() + table.size_bytes() / sizeof(std::uint16_t));
  words.resize(words.size() + 0x20000, 0xffff);
  reset::TextDelimiterDetector::State foreign{0xffff};
  CHECK_FALSE(table.detector(words.data()).observe(foreign, event(1)).boundary);
  CHECK(foreign.node < table.states());
}

TEST_CASE("a text table that moves keeps its detectors, and a copy of its words serves as well") {
  reset::TextDelimiterTable table(make_vocabulary({"a", "\n"}), {"\n\n"});
  const reset::TextDelimiterDetector detector = table.detector();
  const std::vector<std::uint16_t> words(table.data(), table.data() + table.size_bytes() / sizeof(std::uint16_t));
  const reset::TextDelimiterTable moved = std::move(table);
  CHECK(boundaries(detector, {1, 0, 1, 1}) == "...|");
  CHECK(boundaries(moved.detector(words.data()), {1, 0, 1, 1}) == "...|");
}

TEST_CASE("delimiters that cannot be compiled are refused") {
  const reset::Vocabulary vocabulary = make_vocabulary({"a", "b"});
  using Table = reset::TextDelimiterTable;
  CHECK_THROWS_WITH(Table(vocabulary, {}), "invalid argument: delimiters.size() is 0, expected at least one delimiter");
  CHECK_THROWS_WITH(Table(vocabulary, {"a", ""}),
                    "invalid argument: delimiters[].size() is 0, expected at least one byte");
  CHECK_THROWS_AS(Table({}, {"a"}), reset::Error);

  const std::string longest = std::string(Table::kMaxStates - 2, 'a') + 'b';
  CHECK(Table(vocabulary, {longest}).states() == Table::kMaxStates - 1);
  CHECK_THROWS_WITH(Table(vocabulary, {longest + 'b'}),
                    "invalid argument: number of distinct prefixes of the delimiters is 1025, expected 1024 or fewer");
}

TEST_CASE("a vocabulary with too many classes of tokens is refused") {
  // One delimiter for each first byte, and every token of two bytes: each ends in another state or fires from another.
  Strings delimiters;
  reset::Vocabulary vocabulary;
  for (int first = 0; first < 256; ++first) {
    delimiters.push_back({static_cast<char>(first), static_cast<char>(first + 1)});
    for (int second = 0; second < 256; ++second) {
      vocabulary.set(vocabulary.size(), {static_cast<char>(first), static_cast<char>(second)});
    }
  }
  CHECK_THROWS_WITH(reset::TextDelimiterTable(vocabulary, delimiters),
                    "invalid argument: number of token classes is 65536, expected 65535 or fewer");
}
