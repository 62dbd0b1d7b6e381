#include <limits>

#include "answer.hpp"
#include "process.hpp"
#include "small_checkpoint.hpp"
#include "support/catch.hpp"

using Catch::Matchers::Contains;
using traces::Answer;

namespace {

Answer make_answer() {
  Answer answer;
  answer.model = "a \"model\"";
  answer.task = "task";
  answer.problem = "1,2:3\n";
  answer.seed = 0xffffffffffffffffU;
  answer.correct = true;
  answer.settings.reset = {0.6768F, 0.1F, 1.0F, 16, reset::HistoryMode::kIncludeCurrent};
  answer.settings.sampling.top_k = 20;
  answer.settings.sampling.top_p = 0.95F;
  answer.settings.sampling.min_p = 0.05F;
  answer.entropies = {0.0F, 1e-30F, 0.1F, 11.9313F};
  answer.boundaries = {0, 3};
  return answer;
}

constexpr const char* kLine = R"({"model": "m", "task": "t", "problem": "p", "seed": 1, "correct": false, "text": "hi",
  "settings": {"reset": {"tau0": 0.5, "t_low": 0, "t_high": 1, "window": 32}}, "entropies": [0.5, 1], "boundaries": [1]})";

// kLine with one part replaced is refused in these words.
void check_refused(const std::string& part, const std::string& replacement, const std::string& words) {
  std::string line = kLine;
  const std::size_t at = line.find(part);
  REQUIRE(at != std::string::npos);
  line.replace(at, part.size(), replacement);
  CAPTURE(line);
  CHECK_THROWS_WITH(traces::parse_line(line, "f:3"), "f:3: " + words);
}

}  // namespace

TEST_CASE("a recorded answer is read as it was written") {
  for (const bool reset_enabled : {true, false}) {
    Answer answer = make_answer();
    answer.settings.reset_enabled = reset_enabled;
    if (!reset_enabled) {
      answer.settings.reset = {};
      answer.settings.sampling.temperature = 0.6F;
    }
    const std::string line = traces::to_line(answer);
    CHECK(line.find('\n') == std::string::npos);
    const Answer read = traces::parse_line(line, "f:1");
    CHECK(read.model == answer.model);
    CHECK(read.task == answer.task);
    CHECK(read.problem == answer.problem);
    CHECK(read.seed == answer.seed);
    CHECK(read.correct == answer.correct);
    CHECK(read.settings == answer.settings);
    CHECK(read.entropies == answer.entropies);
    CHECK(read.boundaries == answer.boundaries);
  }
}

TEST_CASE("what a trace need not say has its default, and other members are no matter") {
  const Answer answer = traces::parse_line(kLine, "f:1");
  traces::Settings expected;
  expected.reset = {0.5F, 0.0F, 1.0F, 32, reset::HistoryMode::kExcludeCurrent};
  CHECK(answer.settings == expected);
  CHECK(answer.entropies == std::vector<float>{0.5F, 1.0F});
  CHECK(answer.boundaries == std::vector<std::int64_t>{1});
}

TEST_CASE("settings are told by their text") {
  traces::Settings settings = make_answer().settings;
  CHECK(settings.text() ==
        "ReSET tau_0 0.6768, T_low 0.1, T_high 1, w 16, current token included, top-k 20, top-p 0.95, min-p 0.05");
  settings.sampling = {};
  settings.sampling.temperature = 0.6F;
  settings.reset.history = reset::HistoryMode::kExcludeCurrent;
  CHECK(settings.text() == "ReSET tau_0 0.6768, T_low 0.1, T_high 1, w 16, elsewhere T = 0.6");
  settings.reset_enabled = false;
  CHECK(settings.text() == "T = 0.6");
}

TEST_CASE("a line that is no answer is refused by field, value and expectation") {
  CHECK_THROWS_WITH(traces::parse_line("{\"model\": ", "f:3"),
                    "f:3: the line is no JSON object, expected one answer a line");
  CHECK_THROWS_WITH(traces::parse_line("[]", "f:3"), "f:3: the line is no JSON object, expected one answer a line");
  check_refused("\"model\"", "\"modell\"", "model is missing, expected a string that is not empty");
  check_refused("\"t\"", "\"\"", "task is \"\", expected a string that is not empty");
  check_refused("\"p\"", "7", "problem is 7, expected a string that is not empty");
  check_refused("\"seed\": 1", "\"seed\": -1", "seed is -1, expected an integer of at least 0");
  check_refused("false", "0", "correct is 0, expected true or false");
  check_refused("{\"reset\": {", "[{\"reset\": {", "the line is no JSON object, expected one answer a line");
  check_refused("\"window\": 32", "\"window\": 129", "settings.reset.window is 129, expected 0..128");
  check_refused("\"window\": 32", "\"window\": 1e9",
                "settings.reset.window is 1000000000.0, expected an integer of 32 bits");
  check_refused("\"window\": 32", "\"window\": 2147483648",
                "settings.reset.window is 2147483648, expected an integer of 32 bits");
  check_refused("\"t_low\": 0", "\"t_low\": 1e39",
                "settings.reset.t_low is 1e+39, expected a number that a float can hold");
  check_refused("\"t_low\": 0", "\"t_low\": \"0\"",
                "settings.reset.t_low is \"0\", expected a number that a float can hold");
  check_refused("\"t_low\": 0, ", "", "settings.reset.t_low is missing, expected a number");
  check_refused("\"tau0\": 0.5", "\"tau0\": -0.5", "settings.reset.tau0 is -0.5, expected finite and at least 0");
  check_refused("\"tau0\"", "\"history\": \"all\", \"tau0\"",
                "settings.reset.history is \"all\", expected \"exclude_current\" or \"include_current\"");
  check_refused("\"tau0\"", "\"tau1\": 0, \"tau0\"", "settings.reset.tau1 is 0, expected only what the format knows");
  check_refused("{\"reset\"", "{\"penalty\": 1.1, \"reset\"",
                "settings.penalty is 1.1, expected only what the format knows");
  check_refused("{\"reset\"", "{\"top_p\": 2, \"reset\"", "settings.top_p is 2, expected 0..1");
  check_refused("{\"tau0\": 0.5, \"t_low\": 0, \"t_high\": 1, \"window\": 32}", "null",
                "settings.temperature is missing, expected a number");
  check_refused("{\"tau0\": 0.5, \"t_low\": 0, \"t_high\": 1, \"window\": 32}", "true",
                "settings.reset is true, expected an object");
  check_refused("[0.5, 1]", "[]", "entropies is array of 0, expected one number a token, and at least one token");
  check_refused("[0.5, 1]", "0.5", "entropies is 0.5, expected an array");
  check_refused("[0.5, 1]", "[0.5, null]", "entropies[1] is null, expected a number of at least 0");
  check_refused("[0.5, 1]", "[0.5, -1e-9]", "entropies[1] is -1e-09, expected a number of at least 0");
  check_refused("[0.5, 1]", "[0.5, NaN]", "the line is no JSON object, expected one answer a line");
  check_refused("[1]", "[2]", "boundaries[0] is 2, expected ascending indices of the 2 entropies");
  check_refused("[1]", "[1, 1]", "boundaries[1] is 1, expected ascending indices of the 2 entropies");
  check_refused("[1]", "[-1]", "boundaries[0] is -1, expected ascending indices of the 2 entropies");
  check_refused("[1]", "{}", "boundaries is object of 0, expected an array");
}

TEST_CASE("traces are read in order, and an error names file and line") {
  const testing::Scratch scratch;
  const std::string first = scratch / "first.jsonl";
  const std::string second = scratch / "second.jsonl";
  testing::write_text(first, traces::to_line(make_answer()) + "\n\n" + traces::to_line(make_answer()) + "\n");
  testing::write_text(second, traces::to_line(make_answer()));
  CHECK(traces::read_traces({first, second}).size() == 3);
  CHECK(traces::read_traces({}).empty());
  testing::write_text(second, traces::to_line(make_answer()) + "\n\n7\n");
  CHECK_THROWS_WITH(traces::read_traces({first, second}),
                    second + ":3: the line is no JSON object, expected one answer a line");
  const std::string missing = scratch / "missing.jsonl";
  CHECK_THROWS_WITH(traces::read_traces({missing}), missing + ": cannot be opened, expected a trace");
  const std::string folder = scratch / "";
  CHECK_THROWS_AS(traces::read_traces({folder}), reset::Error);
}

TEST_CASE("an answer that nobody graded says so, and is not taken for a wrong one") {
  traces::Answer answer;
  answer.model = answer.task = answer.problem = "x";
  answer.graded = false;
  answer.text = "line\n";
  answer.add(0.5F, false);
  answer.add(std::numeric_limits<float>::quiet_NaN(), true);
  answer.add(0.25F, true);
  CHECK(answer.entropies == std::vector<float>{0.5F, 0.25F});
  CHECK(answer.boundaries == std::vector<std::int64_t>{1});
  const std::string line = traces::to_line(answer);
  CHECK_THAT(line, Contains("\"correct\":null") && Contains("\"text\":\"line\\n\""));
  CHECK_THROWS_WITH(traces::parse_line(line, "file:1"), Contains("correct is null, expected true or false"));
}
