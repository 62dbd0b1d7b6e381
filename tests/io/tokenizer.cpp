#include <string>
#include <vector>

#include <reset/io/tokenizer.hpp>

#include "io/support.hpp"
#include "support/catch.hpp"

using io_test::message_of;
using reset::Tokenizer;

namespace {

Tokenizer read(const std::string& name) { return reset::read_tokenizer(std::string(RESET_IO_TEST_DATA) + "/" + name); }

Tokenizer parse(const std::string& text) { return reset::parse_tokenizer(text, "tokenizer.json"); }

std::string message_for(const std::string& text) {
  return message_of([&] { parse(text); });
}

// A WordLevel file with this vocabulary and these added tokens.
std::string word_level(const std::string& vocab, const std::string& added = "[]") {
  return R"({"added_tokens":)" + added + R"(,"model":{"type":"WordLevel","vocab":)" + vocab + "}}";
}

std::string bytes_at(const Tokenizer& tokenizer, std::size_t id) { return tokenizer.vocabulary.bytes.at(id); }

}  // namespace

TEST_CASE("byte-level BPE: every byte, and texts outside the byte alphabet") {
  const Tokenizer tokenizer = read("byte_level.json");
  REQUIRE(tokenizer.vocabulary.size() == 268);
  CHECK(tokenizer.vocabulary.validate().ok());
  for (std::size_t byte = 0; byte < 256; ++byte) {
    CHECK(bytes_at(tokenizer, byte) == std::string(1, static_cast<char>(byte)));
    CHECK(tokenizer.vocabulary.special[byte] == 0);
  }
  const std::vector<std::string> expected = {"\n\n", ".\n\n", " the", "\r\n\r\n", "\xe2\x82\xac", "\t\n"};
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(bytes_at(tokenizer, 256 + i) == expected[i]);
  const std::string end =
      "<\xef\xbd\x9c"
      "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>";
  CHECK(bytes_at(tokenizer, 262) == end);
  CHECK(tokenizer.vocabulary.special[262] == 1);
  CHECK(tokenizer.added_token(end) == 262);
  CHECK(tokenizer.added_token("<think>") == 263);
  CHECK(tokenizer.added_token("</think>") == 264);
  CHECK(tokenizer.vocabulary.special[263] == 0);
  CHECK(tokenizer.added_token("<|im_end|>") == 267);
  CHECK(tokenizer.vocabulary.special[267] == 1);
  CHECK_FALSE(tokenizer.added_token("the"));
  CHECK_FALSE(tokenizer.added_token(""));
  // 265 and 266 are gaps.
  CHECK(bytes_at(tokenizer, 265).empty());
  CHECK(bytes_at(tokenizer, 266).empty());
  CHECK(tokenizer.vocabulary.find("\n\n") == 256);
}

TEST_CASE("the alphabet is that of the published facts") {
  const Tokenizer tokenizer = parse(
      "{\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"vocab\":{\"\xc4\x8a\":0,\"\xc4\x8d\":1,\"\xc4\xa0\":2,"
      "\"\xc4\x89\":3,\"\xc4\x80\":4,\"\xc5\x83\":5,\"\xc3\xbf\":6,\"\xc2\xa1\":7,\"\xc5\x84\":8,\"\xc2\xad\":9,"
      "\"a b\":10}}}");
  // U+010A, U+010D, U+0120, U+0109; the first and the last of the 68; the last and the first that stand for themselves.
  const std::vector<std::string> expected = {"\n", "\r", " ", "\t", std::string(1, '\0'), "\xad", "\xff", "\xa1"};
  for (std::size_t id = 0; id < expected.size(); ++id) CHECK(bytes_at(tokenizer, id) == expected[id]);
  // Neither U+0144, nor U+00AD, nor a space is a character of the alphabet: the text stands for itself.
  CHECK(bytes_at(tokenizer, 8) == "\xc5\x84");
  CHECK(bytes_at(tokenizer, 9) == "\xc2\xad");
  CHECK(bytes_at(tokenizer, 10) == "a b");
}

TEST_CASE("WordLevel: tokens are literal") {
  const Tokenizer tokenizer = read("word_level.json");
  const std::vector<std::string> expected = {"_", "^", "$", "\n\n", "+", "-", " go ", "merges", "\xc3\xa9"};
  CHECK(tokenizer.vocabulary.bytes == expected);
  CHECK(tokenizer.vocabulary.special == std::vector<std::uint8_t>{1, 1, 1, 0, 0, 0, 0, 0, 0});
  CHECK(tokenizer.added_token("^") == 1);
  CHECK(tokenizer.added_tokens.size() == 3);
}

TEST_CASE("BPE with a replaced space and byte fallback") {
  const Tokenizer tokenizer = read("byte_fallback.json");
  REQUIRE(tokenizer.vocabulary.size() == 265);
  CHECK(bytes_at(tokenizer, 0) == "<unk>");
  for (std::size_t byte = 0; byte < 256; ++byte) {
    CHECK(bytes_at(tokenizer, 3 + byte) == std::string(1, static_cast<char>(byte)));
  }
  const std::vector<std::string> expected = {" ", "  ", " the", " a b", "<0x0A", "\xe2\x82\xac"};
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(bytes_at(tokenizer, 259 + i) == expected[i]);
}

TEST_CASE("without fallback and replacement such texts are literal") {
  const std::string vocab = R"({"<0x0A>":0,")"
                            "\xe2\x96\x81"
                            R"(a":1})";
  const Tokenizer literal = parse(word_level(vocab));
  CHECK(bytes_at(literal, 0) == "<0x0A>");
  CHECK(bytes_at(literal, 1) ==
        "\xe2\x96\x81"
        "a");
  const Tokenizer metaspace = parse(R"({"decoder":{"type":"Metaspace","replacement":")"
                                    "\xe2\x96\x81"
                                    R"("},"model":{"type":"BPE","byte_fallback":true,"vocab":)" +
                                    vocab + "}}");
  CHECK(bytes_at(metaspace, 0) == "\n");
  CHECK(bytes_at(metaspace, 1) == " a");
}

TEST_CASE("the vocabulary may be widened to the logits") {
  Tokenizer tokenizer = parse(word_level(R"({"a":0})"));
  tokenizer.vocabulary.resize(32);
  CHECK(tokenizer.vocabulary.validate().ok());
  CHECK(tokenizer.vocabulary.special.size() == 32);
}

TEST_CASE("the merges are not kept, a token of that name is") {
  const Tokenizer tokenizer =
      parse(R"({"model":{"type":"BPE","merges":["a b",["c",{"d":[]}]],"vocab":{"merges":1,"x":0}}})");
  CHECK(tokenizer.vocabulary.bytes == std::vector<std::string>{"x", "merges"});
  CHECK(message_for(R"({"model":{"merges":[],"merges":[],"vocab":{"x":0}}})") ==
        "tokenizer.json: JSON key \"merges\" is given twice, expected one value a key");
}

TEST_CASE("ids out of bounds are refused") {
  const std::string end = ", expected an integer in 0..1048575";
  for (const char* id : {"-1", "1048576", "18446744073709551615", "1.0", "1e300", "\"1\"", "null"}) {
    const std::string text = R"({"a":)" + std::string(id) + "}";
    CHECK_THAT(message_for(word_level(text)),
               Catch::Matchers::StartsWith("tokenizer.json: id of token \"a\" is ") && Catch::Matchers::EndsWith(end));
    const std::string added = R"([{"content":"a","id":)" + std::string(id) + "}]";
    CHECK_THAT(message_for(word_level("{}", added)),
               Catch::Matchers::StartsWith("tokenizer.json: id of token \"a\" is ") && Catch::Matchers::EndsWith(end));
  }
  CHECK(parse(word_level(R"({"a":1048575})")).vocabulary.size() == 1048576);
}

TEST_CASE("an added token may be the text of a token of the model") {
  const std::string vocab = "\"model\":{\"vocab\":{\"\xc4\xa0x\":0,\"y\":1}}}";
  const Tokenizer tokenizer =
      parse(R"({"decoder":{"type":"ByteLevel"},"added_tokens":[{"content":" x","id":0,"special":true}],)" + vocab);
  CHECK(tokenizer.vocabulary.bytes == std::vector<std::string>{" x", "y"});
  CHECK(tokenizer.vocabulary.special == std::vector<std::uint8_t>{1, 0});
  CHECK(tokenizer.added_token(" x") == 0);
  CHECK(message_for(R"({"decoder":{"type":"ByteLevel"},"added_tokens":[{"content":" y","id":0}],)" + vocab) ==
        "tokenizer.json: id of token \" y\" is 0, the id of \"\\xc4\\xa0x\", expected an id of its own");
}

TEST_CASE("a normalizer to the byte alphabet is as good as a decoder from it; its other steps are not inverted") {
  const std::string model = ",\"model\":{\"vocab\":{\"\xc4\xa0x\":0,\"a b\":1}}}";
  const std::vector<std::string> bytes = {" x", "a b"};
  const std::vector<std::string> literal = {"\xc4\xa0x", "a b"};
  CHECK(parse(R"({"normalizer":{"type":"ByteLevel"})" + model).vocabulary.bytes == bytes);
  CHECK(parse(R"({"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"ByteLevel"}]})" + model)
            .vocabulary.bytes == bytes);
  CHECK(parse(R"({"normalizer":null)" + model).vocabulary.bytes == literal);
  CHECK(parse(R"({"normalizer":{"type":"Sequence","normalizers":[{"type":"Replace","pattern":{"String":" "},
                 "content":"_"}]})" +
              model)
            .vocabulary.bytes == literal);
}

TEST_CASE("one id for two tokens is refused") {
  CHECK(message_for(word_level(R"({"a":3,"b":3})")) ==
        "tokenizer.json: id of token \"b\" is 3, the id of \"a\", expected an id of its own");
  CHECK(message_for(word_level(R"({"a":3})", R"([{"content":"c","id":3}])")) ==
        "tokenizer.json: id of token \"c\" is 3, the id of \"a\", expected an id of its own");
  CHECK(message_for(word_level(R"({"a":3})", R"([{"content":"b","id":4},{"content":"b","id":5}])")) ==
        "tokenizer.json: added token \"b\" is given twice, expected one id a token");
  CHECK(message_for(word_level(R"({"a":3,"a":4})")) ==
        "tokenizer.json: JSON key \"a\" is given twice, expected one value a key");
}

TEST_CASE("files that are no tokenizer of these kinds are refused") {
  CHECK(message_for("{}") == "tokenizer.json: model is missing, expected an object");
  CHECK(message_for(R"({"model":[]})") == "tokenizer.json: model is array of 0, expected an object");
  CHECK(message_for(R"({"model":{"type":"Unigram","vocab":[]}})") ==
        "tokenizer.json: model type is \"Unigram\", expected BPE or WordLevel");
  CHECK(message_for(R"({"model":{"type":"BPE"}})") ==
        "tokenizer.json: model vocab is missing, expected an object of ids");
  CHECK(message_for(R"({"model":{"type":"BPE","vocab":[]}})") ==
        "tokenizer.json: model vocab is array of 0, expected an object of ids");
  CHECK(message_for(R"({"model":{"type":7,"vocab":{}}})") == "tokenizer.json: type is 7, expected a string");
  CHECK(message_for(word_level("{}")) == "tokenizer.json: vocabulary is empty, expected at least one token");
  CHECK(message_for(word_level(R"({"a":0})", "{}")) ==
        "tokenizer.json: added_tokens is object of 0, expected a list of tokens");
  CHECK(message_for(word_level(R"({"a":0})", "[1]")) ==
        "tokenizer.json: added token is 1, expected an object with content and id");
  CHECK(message_for(word_level(R"({"a":0})", R"([{"content":"b"}])")) ==
        "tokenizer.json: added token is object of 1, expected an object with content and id");
  CHECK(message_for(R"({"decoder":{"type":"Sequence"},"model":{"vocab":{"a":0}}})") ==
        "tokenizer.json: decoders is missing, expected the list of a Sequence");
  CHECK_THAT(message_for("{\"model\":"), Catch::Matchers::StartsWith("tokenizer.json: content is not JSON ("));
  CHECK(message_for("{\"model\":{\"merges\":" + std::string(1000, '[')) ==
        "tokenizer.json: JSON nesting is deeper than 64 levels, expected at most 64 levels");
  CHECK_THROWS_AS(reset::read_tokenizer("/no/such/tokenizer.json"), reset::Error);
}

TEST_CASE("a decoder cannot make gigabytes of a letter") {
  std::string steps;
  for (int i = 0; i < 40; ++i) steps += R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"},)";
  steps.back() = ']';
  const std::string message =
      message_for(R"({"decoder":{"type":"Sequence","decoders":[)" + steps + R"(},"model":{"vocab":{"a":0}}})");
  CHECK_THAT(message, Catch::Matchers::StartsWith("tokenizer.json: decoded token \"aaa") &&
                          Catch::Matchers::EndsWith("\" is growing, expected at most 65536 bytes"));
}
