#include <fstream>
#include <string>

#include "countdown.hpp"
#include "process.hpp"
#include "support/catch.hpp"

using Catch::Matchers::Contains;

namespace {

testing::Outcome run_reasoner(std::vector<std::string> arguments, const std::vector<std::string>& environment = {},
                              testing::Stream stream = testing::Stream::kPipe) {
  arguments.insert(arguments.begin(), RESET_REASONER);
  return testing::run(std::move(arguments), environment, stream);
}

void check_refused(const std::vector<std::string>& arguments, const std::string& words) {
  const auto outcome = run_reasoner(arguments);
  CAPTURE(outcome.output);
  CHECK(outcome.exit_code == 1);
  CHECK(outcome.output.substr(0, 10) == "reasoner: ");
  CHECK_THAT(outcome.output, Contains(words));
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

constexpr const char* kColour = "\x1b[38;5;";

}  // namespace

TEST_CASE("a wrong command line of the reasoner is refused") {
  check_refused({"--fast"}, "argument is \"--fast\"");
  check_refused({"47,8,41:48"}, "argument is \"47,8,41:48\"");
  check_refused({"--count"}, "--count is the last argument");
  for (const char* number : {"", "0", "-1", "1.5", "x", "4x", "99999999999999999999"}) {
    check_refused({"--count", number}, "--count is \"" + std::string(number) + "\", expected an integer in 1..");
  }
  for (const char* number : {"", "nan", "inf", "-1", "1e9", "x", "0x10", "1 "}) {
    check_refused({"--tau0", number}, "--tau0 is \"" + std::string(number) + "\", expected a number in 0");
    check_refused({"--temperature", number}, "--temperature is \"" + std::string(number) + "\"");
  }
  check_refused({"--problems", "1,2"}, "1,2: cannot be opened");
  check_refused({"--problems", "1,2:"}, "problem is \"1,2:\"");
  check_refused({"--problems", "0,2:4"}, "numbers from 1 to 999999");
  check_refused({"--model", "/nowhere"}, "/nowhere/config.json: cannot be opened");
  const auto help = run_reasoner({"--help"});
  CHECK(help.exit_code == 0);
  CHECK_THAT(help.output, Contains("usage: reasoner"));
}

TEST_CASE("the demonstration solves and checks problems") {
  const testing::Scratch folder;
  const std::string file = folder / "problems.txt";
  std::ofstream(file) << "13,10,18:148\n7,12,5:79\n25,3,14:8\n1,1:999\n";
  const auto outcome = run_reasoner({"--count", "3", "--problems", file});
  CAPTURE(outcome.output);
  CHECK(outcome.exit_code == 0);
  CHECK(count(outcome.output, "   reach ") == 3);
  CHECK(count(outcome.output, "checked: ") == 3);
  CHECK_THAT(outcome.output, Contains("NVFP4") && Contains("tokens/s") && Contains("% of the tokens"));
  CHECK(outcome.output.find('\x1b') == std::string::npos);
  // Every verdict in favour is earned: the same arithmetic is redone on what was printed.
  std::size_t solved = 0;
  const auto problems = reasoner::read_problems(file);
  std::size_t at = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    at = outcome.output.find("   reach ", at + 1);
    const std::string part = outcome.output.substr(at, outcome.output.find("   reach ", at + 1) - at);
    if (part.find("✔ solved") == std::string::npos) continue;
    ++solved;
    const std::string answer = part.substr(part.find("   ans ") + 3);
    CHECK(reasoner::check_answer(problems[i], answer.substr(0, answer.find('\n'))).correct);
  }
  CHECK(solved > 0);
  CHECK_THAT(outcome.output, Contains("solved " + std::to_string(solved) + " of 3"));
}

TEST_CASE("colours where they are wanted, and only there") {
  const std::vector<std::string> quick = {"--problems", "13,10,18:148"};
  const auto with = [&](const char* option) { return std::vector<std::string>{quick[0], quick[1], option}; };
  const auto terminal = testing::Stream::kTerminal;
  CHECK(run_reasoner(quick).output.find(kColour) == std::string::npos);
  CHECK(run_reasoner(with("--color")).output.find(kColour) != std::string::npos);
  CHECK(run_reasoner(quick, {"NO_COLOR="}, terminal).output.find(kColour) != std::string::npos);
  CHECK(run_reasoner(quick, {"NO_COLOR=1"}, terminal).output.find(kColour) == std::string::npos);
  CHECK(run_reasoner(with("--color"), {"NO_COLOR=1"}).output.find(kColour) != std::string::npos);
  CHECK(run_reasoner(with("--no-color"), {}, terminal).output.find(kColour) == std::string::npos);
}

TEST_CASE("without ReSET there is one temperature") {
  const auto outcome = run_reasoner({"--problems", "13,10,18:148", "--temperature", "0"});
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.output, Contains("T = 0 for every token") && Contains("checked: "));
  CHECK(outcome.output.find("T_high") == std::string::npos);
}

TEST_CASE("an evaluation prints both rates and the paired difference") {
  const testing::Scratch folder;
  const std::string problems = folder / "problems.txt";
  std::ofstream(problems) << "13,10,18:148\n7,12,5:79\n";
  const auto outcome = run_reasoner({"--evaluate", "2", "--problems", problems});
  CAPTURE(outcome.output);
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.output, Contains("2 problems") && Contains("T = 0.6  ") && Contains("ReSET, tau_0") &&
                                 Contains("ReSET minus T = 0.6: ") && Contains("paired by seed"));
  const auto greedy = run_reasoner({"--evaluate", "1", "--problems", problems, "--temperature", "0"});
  CAPTURE(greedy.output);
  CHECK_THAT(greedy.output, Contains("T = 0  ") && Contains("ReSET minus T = 0: ") && !Contains("T = 0.6"));
  // ReSET ran with two temperatures all the same: its share of T_high is a number.
  const std::string row = greedy.output.substr(greedy.output.find("ReSET, tau_0"));
  CHECK(count(row.substr(0, row.find('\n')), "%") == 3);
  check_refused({"--evaluate", "1", "--trace", problems}, "--trace is " + problems + ", which exists");
  check_refused({"--evaluate", "1", "--trace", folder / "no/where"}, "which cannot be written");
  check_refused({"--trace", folder / "trace"}, "without --evaluate");
  check_refused({"--evaluate", "3", "--problems", problems}, "--evaluate is 3, expected at most the 2 problems");
}
