#include "text_encoder.hpp"

#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <reset/io/tokenizer.hpp>

#include "characters.hpp"
#include "process.hpp"
#include "small_checkpoint.hpp"
#include "support/catch.hpp"
#include "text.hpp"
#include "word_split.hpp"

using Catch::Matchers::Contains;
using Json = nlohmann::json;
using Tokens = std::vector<std::int32_t>;

namespace {

using Words = std::vector<std::string>;

Words words_of(const std::string& text) {
  const auto views = engine::split_words(text);
  return {views.begin(), views.end()};
}

// The first 256 tokens are the bytes: printable ones by themselves, the others, in order, as U+0100 and on.
Json byte_level(const std::vector<std::string>& more, const Json& merges) {
  Json vocab;
  for (int byte = 0, next = 0x100; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    const int code = printable ? byte : next++;
    std::string text(1, static_cast<char>(code));
    if (code >= 0x80) text = {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
    vocab[text] = byte;
  }
  int id = 256;
  for (const std::string& token : more) vocab[token] = id++;
  Json json = {{"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}},
               {"decoder", {{"type", "ByteLevel"}}},
               {"added_tokens",
                {{{"id", 300}, {"content", "<|end|>"}, {"special", true}},
                 {{"id", 301}, {"content", "<|end|>>"}, {"special", false}}}}};
  json["pre_tokenizer"] = {{"type", "Sequence"},
                           {"pretokenizers",
                            {{{"type", "Split"},
                              {"pattern", {{"Regex", engine::kWordPattern}}},
                              {"behavior", "Isolated"},
                              {"invert", false}},
                             {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  return json;
}

class File {
 public:
  explicit File(const Json& json) { testing::write_text(path(), json.dump()); }
  std::string path() const { return folder_ / "tokenizer.json"; }
  engine::TextEncoder encoder() const { return {path(), reset::read_tokenizer(path())}; }

 private:
  testing::Scratch folder_;
};

}  // namespace

TEST_CASE("text is cut where the pattern of Qwen2 and Qwen3 cuts it") {
  const std::vector<std::pair<std::string, Words>> cases = {
      {"", {}},
      {"Hello world", {"Hello", " world"}},
      {"I've  don'T we'll it'sx", {"I", "'ve", " ", " don", "'T", " we", "'ll", " it", "'s", "x"}},
      {"'x 'twas 're", {"'x", " '", "twas", " '", "re"}},
      {"a1234 5", {"a", "1", "2", "3", "4", " ", "5"}},
      {"(word) a+=b;\n\nc", {"(word", ")", " a", "+=", "b", ";\n\n", "c"}},
      {" \n\n  x", {" \n\n", " ", " x"}},
      {"x   \n \t", {"x", "   \n", " \t"}},
      {"\tif\r\n", {"\tif", "\r\n"}},
      {"  ", {"  "}},
      {"x  .", {"x", " ", " ."}},
      {"Größe 日本語、です", {"Größe", " 日本語", "、です"}},
      {"½Ⅷ٣", {"½", "Ⅷ", "٣"}},
      {"\u00a0\u3000x", {"\u00a0", "\u3000x"}},
      {"naïve—“quoted”", {"naïve", "—“", "quoted", "”"}},
      {"हिन्दी", {"ह", "िन", "्द", "ी"}},  // marks are no letters
      {std::string("a\xff\xc3") + "b", {"a", std::string("\xff\xc3"), "b"}},
      {"😀x", {"😀x"}},
  };
  for (const auto& [text, words] : cases) {
    CAPTURE(text);
    CHECK(words_of(text) == words);
  }
}

TEST_CASE("characters are what they are, and broken ones are bytes") {
  const auto kind = [](const std::string& text) { return engine::character_at(text, 0).kind; };
  CHECK(kind("Z") == engine::CharacterKind::kLetter);
  CHECK(kind("[") == engine::CharacterKind::kOther);
  CHECK(kind("\xd7\x90") == engine::CharacterKind::kLetter);          // Hebrew alef
  CHECK(kind("\xd9\xa3") == engine::CharacterKind::kNumber);          // Arabic-Indic 3
  CHECK(kind("\xe3\x80\x80") == engine::CharacterKind::kSpace);       // ideographic space
  CHECK(kind("\xf0\xa0\x80\x80") == engine::CharacterKind::kLetter);  // U+20000
  CHECK(kind("\xc3\x97") == engine::CharacterKind::kOther);           // multiplication sign, between two ranges
  CHECK(engine::character_at("\xf0\xa0\x80\x80", 0).code == 0x20000);
  for (const std::string broken : {"\xf0\xa0\x80", "\xc3", "\x80", "\xff", "\xc3(", "\xc0\x80"}) {
    CHECK(engine::character_at(broken, 0).bytes == 1);
    CHECK(engine::character_at(broken, 0).kind == engine::CharacterKind::kOther);
  }
  CHECK(engine::character_at("a", 1).bytes == 0);
}

TEST_CASE("pairs merge by rank, within words") {
  // "Ġ" is a space. The merge of "l" and "o" ranks before that of "e" and "l".
  const std::vector<std::string> more = {"lo",
                                         "el",
                                         "Ġh",
                                         "Ġhe",
                                         "aa",
                                         "Ċ"
                                         "Ċ"};
  const Json merges = {"l o", "e l", "Ġ h", "Ġh e", "a a", "Ċ Ċ"};
  for (const bool pairs : {false, true}) {  // newer files hold lists
    Json written = merges;
    for (Json& merge : written) {
      const auto text = merge.get<std::string>();
      const std::size_t space = text.find(' ');
      if (pairs) merge = {text.substr(0, space), text.substr(space + 1)};
    }
    const File file(byte_level(more, written));
    const engine::TextEncoder encoder = file.encoder();
    CHECK(encoder.encode("") == Tokens{});
    CHECK(encoder.encode("elo") == Tokens{'e', 256});
    CHECK(encoder.encode("hel hel") == Tokens{'h', 257, 258, 257});
    CHECK(encoder.encode(" hex") == Tokens{259, 'x'});
    CHECK(encoder.encode("aaaaa") == Tokens{260, 260, 'a'});
    CHECK(encoder.encode("a\n\n\n") == Tokens{'a', 261, '\n'});
    CHECK(encoder.encode("ß") == Tokens{0xc3, 0x9f});
    CHECK(encoder.encode(std::string("\0\xff", 2)) == Tokens{0, 0xff});
  }
}

TEST_CASE("added tokens in a text stand for themselves, the longest first") {
  const File file(byte_level({"lo"}, {"l o"}));
  const engine::TextEncoder encoder = file.encoder();
  CHECK(encoder.encode("lo<|end|>lo") == Tokens{256, 300, 256});
  CHECK(encoder.encode("<|end|>><|end|>") == Tokens{301, 300});
  CHECK(encoder.encode("l<|end|>o<|end") == Tokens{'l', 300, 'o', '<', '|', 'e', 'n', 'd'});
}

TEST_CASE("what the encoder does not follow is refused by name") {
  const auto refuses = [](const Json& json, const std::string& words) {
    const File file(json);
    CHECK_THROWS_WITH(file.encoder(), Contains(file.path()) && Contains(words));
  };
  const Json good = byte_level({"lo"}, {"l o"});
  Json json = good;
  json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "\\s+";
  refuses(json, "expected the word pattern of Qwen2 and Qwen3");
  json = good;
  json["pre_tokenizer"]["pretokenizers"][1]["use_regex"] = true;
  refuses(json, "pre_tokenizer is {");
  json = good;
  json["pre_tokenizer"] = nullptr;
  refuses(json, "pre_tokenizer is null");
  json = good;
  json["pre_tokenizer"] = {{"type", "Metaspace"}};
  refuses(json, "Metaspace");
  for (const Json& merge : {Json("lo"), Json("l x"), Json("q q"), Json(3), Json({"l"}), Json({1, 2})}) {
    json = good;
    json["model"]["merges"].push_back(merge);
    refuses(json, "merges[1] is " + merge.dump() + ", expected two tokens whose join is a token");
  }
  json = good;
  json["model"]["vocab"].erase("x");
  const File file(json);
  CHECK_THROWS_WITH(file.encoder().encode("axe"), Contains("byte 120 of the text is no token"));
}

TEST_CASE("a vocabulary without merges takes whole symbols") {
  const std::string path = RESET_REASONER_DIR "/model/nvfp4/tokenizer.json";
  const engine::TextEncoder encoder(path, reset::read_tokenizer(path));
  CHECK(encoder.encode("^13,1: go \n\n") == Tokens{1, 18, 20, 9, 18, 10, 11, 3});
  CHECK_THROWS_WITH(encoder.encode("13;"), Contains("no token at byte 2"));
}

TEST_CASE("text becomes the longest tokens that fit, and unknown text is refused") {
  reset::Vocabulary vocabulary;
  const char* const texts[] = {"<s>", "1", "12", "\n", "\n\n", ","};
  for (std::size_t id = 0; id < 6; ++id) vocabulary.set(id, texts[id], id == 0);
  CHECK(engine::encode_longest(vocabulary, "121,1\n\n\n") == std::vector<std::int32_t>{2, 1, 5, 1, 4, 3});
  CHECK_THROWS_WITH(engine::encode_longest(vocabulary, "12;1"), Contains("no token at byte 2"));
  CHECK_THROWS_WITH(engine::encode_longest(vocabulary, "<s>"),
                    Contains("no token at byte 0"));  // special tokens are no text
  CHECK(engine::decode(vocabulary, 0).empty());
  CHECK(engine::decode(vocabulary, 4) == "\n\n");
  CHECK(engine::decode(vocabulary, 99).empty());
  CHECK(engine::decode(vocabulary, -1).empty());
}

TEST_CASE("the columns that can be sampled end with the last token that is text or ends it") {
  reset::Vocabulary vocabulary;
  vocabulary.set(0, "a");
  vocabulary.set(2, "<unk>", true);
  vocabulary.resize(8);
  engine::ModelConfig config;
  config.vocab_size = 8;
  CHECK(engine::sampled_columns(vocabulary, config) == 1);
  config.eos_tokens = {4};
  CHECK(engine::sampled_columns(vocabulary, config) == 5);
}
