#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "answer.hpp"
#include "process.hpp"
#include "small_checkpoint.hpp"
#include "small_decoder.hpp"
#include "stream.hpp"
#include "support/catch.hpp"

using Catch::Matchers::Contains;
using testing::SmallDecoder;
using testing::Stored;

namespace {

using Arguments = std::vector<std::string>;

const std::string kModels = RESET_REASONER_DIR "/model";
const std::string kPrompt = "^13,10,18:148\n\n";
constexpr const char* kColour = "\x1b[38;5;";

Arguments operator+(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

const Arguments kModel = {"--model", kModels + "/nvfp4", "--device", "cpu"};
const Arguments kQuick = kModel + Arguments{"--prompt", kPrompt};

testing::Outcome run_generate(const Arguments& arguments, const std::vector<std::string>& environment = {},
                              testing::Stream stream = testing::Stream::kPipe) {
  return testing::run(Arguments{RESET_GENERATE} + arguments, environment, stream);
}

// The text of a run, without what goes to standard error: the facts, which begin with two spaces.
std::string text_of(const Arguments& arguments) {
  const auto outcome = run_generate(arguments);
  CAPTURE(outcome.output);
  REQUIRE(outcome.exit_code == 0);
  const std::string head = "\n\n";  // behind the facts of the head
  const std::size_t begin = outcome.output.find(head, outcome.output.find("  policy ")) + head.size();
  return outcome.output.substr(begin, outcome.output.find("\n\n  tokens ") - begin);
}

void check_refused(const Arguments& arguments, const std::string& words,
                   const std::vector<std::string>& environment = {}) {
  const auto outcome = run_generate(arguments, environment);
  CAPTURE(outcome.output, words);
  CHECK(outcome.exit_code == 2);
  CHECK(outcome.output.substr(0, 10) == "generate: ");
  CHECK(std::count(outcome.output.begin(), outcome.output.end(), '\n') == 1);  // one sentence
  CHECK_THAT(outcome.output, Contains(words));
}

// A tokenizer for the small decoders: each token a letter or two, and <s>.
void write_tokenizer(const std::filesystem::path& folder) {
  nlohmann::json vocab;
  for (int id = 0; id + 1 < SmallDecoder::kVocab; ++id) {
    vocab[std::string(1, static_cast<char>('a' + id % 25)) + (id < 25 ? "" : "z")] = id;
  }
  const nlohmann::json first = {{"id", SmallDecoder::kVocab - 1}, {"content", "<s>"}, {"special", true}};
  const nlohmann::json json = {{"model", {{"type", "WordLevel"}, {"vocab", vocab}}},
                               {"added_tokens", nlohmann::json::array({first})}};
  testing::write_text(folder / "tokenizer.json", json.dump());
}

}  // namespace

TEST_CASE("a wrong command line of generate is refused") {
  check_refused({}, "--model is missing, expected a checkpoint directory");
  check_refused({"--fast"}, "argument is \"--fast\", expected an option that --help lists");
  check_refused(kModel, "gives 0 prompts, expected one of --prompt, --prompt-file and --prompt-tokens");
  check_refused(kQuick + Arguments{"--prompt-tokens", "1"}, "gives 2 prompts");
  check_refused({"--batch"}, "--batch is the last argument");
  check_refused(kQuick + Arguments{"--device", "tpu"}, "--device is \"tpu\", expected one of cpu, cuda");
  check_refused(kQuick + Arguments{"--activations", "fp8"}, "--activations is \"fp8\", expected one of bf16, nvfp4");
  for (const char* number : {"", "0", "-1", "1.5", "x", "1025"}) {
    check_refused(kQuick + Arguments{"--batch", number}, "--batch is \"" + std::string(number) + "\", expected");
  }
  for (const char* option : {"--top-p", "--tau0", "--t-low", "--temperature"}) {
    check_refused(kQuick + Arguments{option, "nan"}, std::string(option) + " is \"nan\", expected a number in 0");
  }
  check_refused(kQuick + Arguments{"--top-k", "-1"}, "--top-k is \"-1\"");
  check_refused(kQuick + Arguments{"--max-tokens", "0"}, "--max-tokens is \"0\"");
  check_refused(kModel + Arguments{"--prompt-tokens", "1,,2"}, "--prompt-tokens is \"\", expected an integer");
  check_refused(kQuick + Arguments{"--temperature", "1"}, "expected --no-reset beside it");
  check_refused(kQuick + Arguments{"--no-reset", "--tau0", "1"}, "--tau0 is given with --no-reset");
  check_refused(kQuick + Arguments{"--early-stop", "0"}, "--early-stop is \"0\", expected an integer in 1..");
  check_refused(kQuick + Arguments{"--head", "nvfp4"}, "--head is given without --random-weights, expected");
  check_refused(kQuick + Arguments{"--record-input-scales", "x", "--device", "cuda"}, "expected --device cpu");
  check_refused(kQuick + Arguments{"--record-input-scales", "x", "--activations", "nvfp4"}, "--activations bf16");
  const Arguments random = {"--random-weights", "qwen3-8b"};
  check_refused(random + kModel, "--model is given with --random-weights, expected one of them");
  check_refused(random + Arguments{"--head", "fp8"}, "--head is \"fp8\", expected one of bf16, nvfp4");
  check_refused(random + Arguments{"--prompt", "x"}, "expected --prompt-tokens or no prompt");
  check_refused(random + Arguments{"--prompt-file", "x"}, "expected --prompt-tokens or no prompt");
  check_refused(random + Arguments{"--device", "cpu"}, "expected --device cuda");
  check_refused(random + Arguments{"--record-input-scales", "x"}, "expected --model");
  const auto help = run_generate({"--help"});
  CHECK(help.exit_code == 0);
  CHECK_THAT(help.output, Contains("usage: generate"));
}

TEST_CASE("what is missing or does not fit is told in one sentence") {
  const testing::Scratch folder;
  check_refused({"--model", "/nowhere", "--prompt", "x"}, "/nowhere/config.json: cannot be opened");
  check_refused(kModel + Arguments{"--prompt", "hello"}, "no token at byte 0");
  check_refused(kModel + Arguments{"--prompt", ""}, "the prompt is empty");
  check_refused(kModel + Arguments{"--prompt-file", folder / "none"}, "which cannot be opened, expected a file");
  check_refused(kModel + Arguments{"--prompt-file", folder / ""}, "which cannot be opened, expected a file");
  check_refused(kModel + Arguments{"--prompt-tokens", "1,32"}, "a token of the prompt is 32, expected 0..31");
  check_refused(kQuick + Arguments{"--activations", "nvfp4"}, "has no input scale");
#ifdef RESET_ENGINE_CUDA
  const std::string no_gpu = "no GPU to run on (";
  check_refused(kQuick + Arguments{"--device", "cuda"}, "--device is cuda, and " + no_gpu, {"CUDA_VISIBLE_DEVICES="});
  check_refused({"--random-weights", "qwen3-8b"}, no_gpu, {"CUDA_VISIBLE_DEVICES="});
  check_refused({"--random-weights", "qwen4"},
                "model qwen4: no shapes of that name, expected one of qwen3-8b, qwen3-14b, qwen3-32b, ");
#else
  const std::string without = "--random-weights is given to a build without CUDA, expected --model";
  check_refused(kQuick + Arguments{"--device", "cuda"}, "--device is cuda, and this build was made without CUDA");
  check_refused({"--random-weights", "qwen3-8b"}, without);
  check_refused({"--random-weights", "qwen4"}, without);
#endif
  SmallDecoder decoder{"qwen2", Stored::kModelOpt};
  decoder.write(folder / "small");
  const Arguments small = {"--model", folder / "small", "--device", "cpu", "--prompt", "abba"};
  check_refused(small, "tokenizer.json");
  write_tokenizer(folder / "small");
  CHECK(run_generate(small).exit_code == 0);
  check_refused(small + Arguments{"--prompt-tokens", "1"}, "gives 2 prompts");
  std::string longest = "0";
  for (int i = 0; i < 40; ++i) longest += ",1";
  check_refused({"--model", folder / "small", "--device", "cpu", "--prompt-tokens", longest},
                "the prompt is 41 tokens long, expected at most 40");
  nlohmann::json config = decoder.config();
  config["max_position_embeddings"] = 1 << 21;
  testing::write_text(folder / "small/config.json", config.dump());
  check_refused(small + Arguments{"--batch", "1024", "--max-tokens", "1048576"},
                "of memory are free, expected a smaller --batch or --max-tokens");
  config["model_type"] = "llama";
  testing::write_text(folder / "small/config.json", config.dump());
  check_refused(small, "model_type is \"llama\", expected \"qwen2\" or \"qwen3\"");
}

TEST_CASE("a text begins with the tokenizer's first token where that is asked for") {
  const testing::Scratch folder;
  SmallDecoder{"qwen2", Stored::kBf16}.write(folder / "small");
  write_tokenizer(folder / "small");
  const auto settle = [&](const std::string& text) {
    testing::write_text(folder / "small/tokenizer_config.json", text);
  };
  const auto with = [&](const char* option, const char* prompt) {
    return Arguments{"--model", folder / "small", "--device", "cpu", option, prompt};
  };
  const auto tokens_of = [&](const char* option, const char* prompt) {
    const std::string output = run_generate(with(option, prompt)).output;
    return output.substr(output.find("prompt of ") + 10, 2);
  };
  CHECK(tokens_of("--prompt", "abba") == "4 ");
  for (const char* bos : {R"("<s>")", R"({"content": "<s>"})"}) {
    settle(std::string(R"({"add_bos_token": true, "bos_token": )") + bos + "}");
    CHECK(tokens_of("--prompt", "abba") == "5 ");
    CHECK(tokens_of("--prompt", "<s>abba") == "5 ");
    CHECK(tokens_of("--prompt", "") == "1 ");
    CHECK(tokens_of("--prompt-tokens", "1,2") == "2 ");
    settle(std::string(R"({"add_bos_token": false, "bos_token": )") + bos + "}");
    CHECK(tokens_of("--prompt", "abba") == "4 ");
  }
  settle(R"({"add_bos_token": true, "bos_token": null})");
  check_refused(with("--prompt", "a"), "tokenizer_config.json: bos_token is null, expected an added token");
  settle("[]");
  check_refused(with("--prompt", "a"), "tokenizer_config.json: not valid JSON, expected one object");
}

TEST_CASE("the parameters are those published for the model that the folder is named after") {
  const testing::Scratch folder;
  for (const auto& [name, words] : {std::pair("Qwen3-14B-NVFP4", "ReSET tau_0 0.4863, T_low 0.3"),
                                    std::pair("Another-Qwen3-14B", "ReSET tau_0 0.55, T_low 0.3")}) {
    SmallDecoder{"qwen3", Stored::kBf16}.write(folder / name);
    write_tokenizer(folder / name);
    const Arguments arguments = {"--model", folder / name, "--device", "cpu", "--prompt", "a"};
    CHECK_THAT(run_generate(arguments).output, Contains(words));
    CHECK_THAT(run_generate(arguments + Arguments{"--t-low", "0.25"}).output, Contains("T_low 0.25"));
  }
}

TEST_CASE("text comes out as it is, and the facts apart from it") {
  const testing::Scratch folder;
  const std::string text = text_of(kQuick);
  CHECK_THAT(text, Contains("ans ") && !Contains("\x1b") && !Contains("["));
  testing::write_text(folder / "prompt", kPrompt);
  CHECK(text_of(kModel + Arguments{"--prompt-file", folder / "prompt"}) == text);
  CHECK(text_of(kModel + Arguments{"--prompt-tokens", "1,18,20,9,18,17,9,18,25,10,18,21,25,3"}) == text);
  const auto outcome = run_generate(kQuick);
  CHECK_THAT(outcome.output, Contains("Qwen3 architecture, 8 layers") && Contains("NVFP4") && Contains("CPU, ") &&
                                 Contains("tokens/s") && Contains("prompt of 14 tokens") &&
                                 Contains("1 by themselves, 0 out of room") && Contains("% of the tokens"));
  CHECK(text_of(kQuick + Arguments{"--seed", "9"}) != text);
  const std::string short_one = text_of(kQuick + Arguments{"--max-tokens", "10"});
  CHECK(short_one == text.substr(0, short_one.size()));
  CHECK_THAT(run_generate(kQuick + Arguments{"--max-tokens", "10"}).output,
             Contains("  10 in ") && Contains("1 out of room"));
}

TEST_CASE("sequences of a batch are those of their seeds, one after the other") {
  const std::string batch = text_of(kQuick + Arguments{"--batch", "3", "--seed", "5"});
  std::string expected;
  for (int i = 0; i < 3; ++i) {
    expected += (i == 0 ? "--- " : "\n--- ") + std::to_string(i + 1) + " of 3, seed " + std::to_string(5 + i) +
                " ---\n" + text_of(kQuick + Arguments{"--seed", std::to_string(5 + i)});
  }
  CHECK(batch == expected);
}

TEST_CASE("generate has colours where they are wanted, and only there") {
  const auto terminal = testing::Stream::kTerminal;
  CHECK(run_generate(kQuick).output.find('\x1b') == std::string::npos);
  const std::string coloured = run_generate(kQuick + Arguments{"--color"}).output;
  CHECK_THAT(coloured,
             Contains("\x1b[38;5;32m") && Contains("\x1b[1;38;5;166m") && Contains("[2] ") && Contains("\x1b[4m"));
  CHECK(run_generate(kQuick, {"NO_COLOR="}, terminal).output.find(kColour) != std::string::npos);
  CHECK(run_generate(kQuick, {"NO_COLOR=1"}, terminal).output.find('\x1b') == std::string::npos);
  CHECK(run_generate(kQuick + Arguments{"--no-color"}, {}, terminal).output.find('\x1b') == std::string::npos);
}

TEST_CASE("a sequence whose steps come to nothing ends early where that is asked for") {
  const std::string whole = text_of(kQuick);
  const Arguments early = kQuick + Arguments{"--early-stop", "1"};
  const std::string text = text_of(early);
  CHECK(text.size() < whole.size());
  CHECK(text == whole.substr(0, text.size()));
  CHECK_THAT(run_generate(early).output, Contains("0 by themselves, 1 early, 0 out of room"));
  CHECK(text_of(kQuick + Arguments{"--early-stop", "1000"}) == whole);
}

TEST_CASE("without ReSET generate has one temperature") {
  const Arguments greedy = kQuick + Arguments{"--no-reset", "--temperature", "0"};
  const auto outcome = run_generate(greedy);
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.output, Contains("policy   T = 0, top-p 0.95") && !Contains("T_high"));
  CHECK(text_of(greedy) == text_of(greedy + Arguments{"--seed", "77"}));
  CHECK(text_of(greedy) == text_of(kQuick + Arguments{"--no-reset", "--temperature", "5", "--top-k", "1"}));
}

TEST_CASE("a trace holds what was generated") {
  const testing::Scratch folder;
  const std::string trace = folder / "trace.jsonl";
  const Arguments both = kQuick + Arguments{"--batch", "2", "--tau0", "0.7", "--trace", trace};
  const std::string text = text_of(both);
  std::ifstream file(trace);
  std::string line;
  std::string again;
  for (std::uint64_t seed = 1; std::getline(file, line); ++seed) {
    nlohmann::json json = nlohmann::json::parse(line);
    CHECK(json["correct"].is_null());
    again += (seed == 1 ? "--- " : "\n--- ") + std::to_string(seed) + " of 2, seed " + std::to_string(seed) + " ---\n" +
             json["text"].get<std::string>();
    json["correct"] = true;
    const traces::Answer answer = traces::parse_line(json.dump(), "trace");
    CHECK(answer.model == "nvfp4");
    CHECK(answer.problem == kPrompt);
    CHECK(answer.seed == seed);
    CHECK(answer.settings.reset.tau0 == 0.7F);
    CHECK(answer.settings.sampling.top_p == 0.95F);
    CHECK(answer.boundaries.size() > 1);
    CHECK(answer.entropies.size() > 40);
  }
  CHECK(again == text);
  check_refused(both, "--trace is " + trace + ", which exists");
  check_refused(kQuick + Arguments{"--trace", folder / "no/where"}, "which cannot be written");
}

TEST_CASE("recorded input scales make a checkpoint for NVFP4 activations, which solves problems all the same") {
  const testing::Scratch folder;
  const std::string scales = folder / "scales.json";
  const Arguments record = {"--model", kModels + "/bf16", "--device", "cpu",        "--prompt",
                            kPrompt,   "--batch",         "4",        "--no-reset", "--record-input-scales",
                            scales};
  REQUIRE(run_generate(record).exit_code == 0);
  check_refused(record, "--record-input-scales is " + scales + ", which exists");
  const auto json = nlohmann::json::parse(testing::read_text(scales));
  CHECK(json.size() == 8 * 7 + 1);
  CHECK(json["model.layers.3.mlp.down_proj"].get<double>() > 1e-5);
  for (const char* format : {"modelopt", "compressed-tensors"}) {
    REQUIRE(
        testing::run({RESET_QUANTIZE, kModels + "/bf16", folder / format, "--format", format, "--input-scales", scales})
            .exit_code == 0);
    const Arguments greedy = {"--model",    folder / format, "--device", "cpu",           "--prompt", kPrompt,
                              "--no-reset", "--temperature", "0",        "--activations", "nvfp4"};
    CHECK_THAT(text_of(greedy), Contains("ans ") && Contains("=148"));
  }
}

TEST_CASE("characters that come in pieces are put together, and none steers the terminal") {
  using generate::whole_characters;
  CHECK(whole_characters("") == 0);
  CHECK(whole_characters("ab") == 2);
  CHECK(whole_characters("a\xc3") == 1);
  CHECK(whole_characters("a\xc3\xa9") == 3);
  CHECK(whole_characters("\xe6\x97") == 0);
  CHECK(whole_characters("\xf0\x9f\x98") == 0);
  CHECK(whole_characters("\xf0\x9f\x98\x80") == 4);
  CHECK(whole_characters("\x80\x80\x80\x80") == 4);  // no character any more
  CHECK(generate::without_controls("a\n\tb\x1b[31m\x7f\r") == "a\n\tb\\x1b[31m\\x7f\\x0d");
  CHECK(generate::without_controls("\xe6\x97\xa5") == "\xe6\x97\xa5");
}
