#include <cmath>

#include <nlohmann/json.hpp>
#include <reset/sampler/calibrate.hpp>
#include <reset/sampler/streaming_quantile.hpp>

#include "answer.hpp"
#include "process.hpp"
#include "small_checkpoint.hpp"
#include "support/catch.hpp"

using Catch::Matchers::Contains;

namespace {

testing::Outcome run_calibrate(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), RESET_CALIBRATE);
  return testing::run(std::move(arguments));
}

// A failed run: exit code 2 and one line.
void check_refused(const std::vector<std::string>& arguments, const std::string& words) {
  const testing::Outcome outcome = run_calibrate(arguments);
  CAPTURE(outcome.output);
  CHECK(outcome.exit_code == 2);
  CHECK(outcome.output.substr(0, 11) == "calibrate: ");
  CHECK_THAT(outcome.output, Contains(words));
}

// Forty problems at two thresholds, of which the higher solves all and the lower every other one.
std::string two_thresholds() {
  std::string text;
  for (int i = 0; i < 40; ++i) {
    for (const float tau0 : {0.25F, 0.75F}) {
      traces::Answer answer;
      answer.model = "model";
      answer.task = "task";
      answer.problem = std::to_string(i);
      answer.correct = tau0 > 0.5F || i % 2 == 0;
      answer.settings.reset.tau0 = tau0;
      answer.entropies = {0.0F, 0.5F, 1.0F};
      text += traces::to_line(answer) + "\n";
    }
  }
  return text;
}

}  // namespace

TEST_CASE("the calibration tool prints what it compared and writes what it chose") {
  const testing::Scratch scratch;
  const std::string trace = scratch / "trace.jsonl";
  const std::string output = scratch / "chosen.json";
  testing::write_text(trace, two_thresholds());
  // The same file twice adds nothing.
  const testing::Outcome outcome = run_calibrate({trace, trace, "--held-out", "0.4", "--output", output});
  CAPTURE(outcome.output);
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.output, Contains("model, task: ") && Contains("too narrow") && Contains("all equal") &&
                                 Contains("* 100.0 %") && Contains("* chosen: ReSET tau_0 0.75, T_low 0.3") &&
                                 Contains("better than 1 of the 1 others"));
  const auto json = nlohmann::json::parse(testing::read_text(output));
  REQUIRE(json.size() == 1);
  CHECK(json[0]["model"] == "model");
  CHECK(json[0]["task"] == "task");
  CHECK(json[0]["basis"] == "answers");
  CHECK(json[0]["params"] ==
        nlohmann::json::parse(
            R"({"tau0": 0.75, "t_low": 0.3, "t_high": 1, "window": 32, "history": "exclude_current"})"));
  CHECK(json[0]["problems"]["selection"].get<int>() + json[0]["problems"]["held_out"].get<int>() == 40);
  CHECK(json[0]["held_out"] == nlohmann::json::parse(R"({"accuracy": 1.0, "interval": null})"));
  CHECK(run_calibrate({trace}).output.find("40 problems to choose by") == std::string::npos);
}

TEST_CASE("the reasoner's own traces can be calibrated on") {
  const testing::Scratch scratch;
  const std::string problems = scratch / "problems.txt";
  const std::string trace = scratch / "trace.jsonl";
  testing::write_text(problems, "13,10,18:148\n7,12,5:79\n25,10,4:60\n9,3,8:35\n6,7,2:44\n11,4,3:41\n");
  const testing::Outcome recorded =
      testing::run({RESET_REASONER, "--evaluate", "6", "--problems", problems, "--trace", trace});
  CAPTURE(recorded.output);
  REQUIRE(recorded.exit_code == 0);
  const std::vector<traces::Answer> answers = traces::read_traces({trace});
  REQUIRE(answers.size() == 12);
  std::vector<float> entropies;
  for (const traces::Answer& answer : answers) {
    CHECK(answer.task == "countdown");
    CHECK_FALSE(answer.boundaries.empty());
    CHECK(answer.boundaries.front() > 0);
    entropies.insert(entropies.end(), answer.entropies.begin(), answer.entropies.end());
  }
  // Counted online, the same tokens tell the same threshold to within the stated bound.
  reset::StreamingQuantile counted;
  for (const float entropy : entropies) counted.add(entropy);
  float tau0 = 0.0F;
  REQUIRE(counted.quantile(0.8, tau0).ok());
  const float exact = reset::tau0_from_entropies(entropies);
  CHECK(std::abs(tau0 - exact) <= exact * 0x1p-7F + 0x1p-11F);
  CHECK(answers.front().settings.text() == "T = 0.6, top-p 0.95");
  CHECK(answers.back().settings.text() == "ReSET tau_0 0.6768, T_low 0.1, T_high 1, w 32, top-p 0.95");
  const testing::Outcome outcome = run_calibrate({trace});
  CAPTURE(outcome.output);
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.output, Contains("nvfp4, countdown: ") && Contains("* chosen: ReSET tau_0 0.6768"));
}

TEST_CASE("a wrong command line of the calibration tool is refused") {
  const testing::Scratch scratch;
  const std::string trace = scratch / "trace.jsonl";
  testing::write_text(trace, two_thresholds());
  check_refused({}, "the command line names no TRACE, expected at least one file");
  check_refused({trace, "--fast"}, "option is \"--fast\", expected --held-out or --output");
  check_refused({trace, "--held-out"}, "--held-out is the last argument");
  for (const char* share : {"0", "1", "1.5", "-0.5", "nan", "half", ""}) {
    check_refused({trace, "--held-out", share},
                  std::string("--held-out is \"") + share + "\", expected a number between");
  }
  check_refused({trace, "--output", trace}, "--output is " + trace + ", which exists, expected a new file");
  check_refused({trace, "--output", scratch / "no/where"}, "which cannot be written");
  CHECK(testing::read_text(trace) == two_thresholds());
  const testing::Outcome help = run_calibrate({"--help"});
  CHECK(help.exit_code == 0);
  CHECK_THAT(help.output, Contains("usage: calibrate"));
}

TEST_CASE("traces that cannot be calibrated on are refused") {
  const testing::Scratch scratch;
  const std::string trace = scratch / "trace.jsonl";
  const std::string output = scratch / "chosen.json";
  check_refused({trace}, trace + ": cannot be opened");
  testing::write_text(trace, "");
  check_refused({trace}, "the traces hold 0 answers");
  testing::write_text(trace, two_thresholds() + "{}\n");
  check_refused({trace, "--output", output}, trace + ":81: model is missing");
  testing::write_text(trace, two_thresholds().substr(0, two_thresholds().find('\n')));
  check_refused({trace, "--output", output}, "split has ");
  CHECK_FALSE(std::filesystem::exists(output));
}
