#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include <reset/sampler/calibrate.hpp>
#include <reset/status.hpp>

#include "choice.hpp"
#include "report.hpp"
#include "study.hpp"
#include "support/catch.hpp"

using calibrate::Choice;
using calibrate::Estimate;
using calibrate::Study;
using Catch::Matchers::Contains;
using traces::Answer;

namespace {

Answer make_answer(const std::string& problem, float tau0, bool correct, std::uint64_t seed = 1) {
  Answer answer;
  answer.model = "model";
  answer.task = "task";
  answer.problem = problem;
  answer.seed = seed;
  answer.correct = correct;
  answer.settings.reset.tau0 = tau0;
  answer.entropies = {0.1F, 0.2F, 0.3F, 0.4F, tau0};
  return answer;
}

Answer without_reset(Answer answer) {
  answer.settings = {};
  answer.settings.reset_enabled = false;
  return answer;
}

std::string name(std::size_t i) { return "problem " + std::to_string(i); }

// Answers of `problems` problems; each setting's are correct with its own probability.
std::vector<Answer> record(std::size_t problems, const std::vector<std::pair<float, double>>& settings, unsigned seed) {
  std::mt19937_64 random(seed);
  std::vector<Answer> answers;
  for (std::size_t i = 0; i < problems; ++i) {
    for (const auto& [tau0, accuracy] : settings) {
      answers.push_back(make_answer(name(i), tau0, std::bernoulli_distribution(accuracy)(random)));
    }
  }
  return answers;
}

bool holds(const Estimate& estimate, double value) {
  return estimate.interval && estimate.interval->low <= value && value <= estimate.interval->high;
}

}  // namespace

TEST_CASE("a bootstrap interval is as wide as theory says, and the same every time") {
  std::vector<double> values(400, 0.0);
  std::fill(values.begin(), values.begin() + 100, 1.0);
  const Estimate estimate = calibrate::bootstrap(values);
  const double half = 1.96 * std::sqrt(0.25 * 0.75 / 400);
  CHECK(estimate.mean == Approx(0.25));
  REQUIRE(estimate.interval);
  CHECK(estimate.interval->low == Approx(0.25 - half).margin(0.005));
  CHECK(estimate.interval->high == Approx(0.25 + half).margin(0.005));
  CHECK(calibrate::bootstrap(values).interval->low == estimate.interval->low);
  CHECK_FALSE(calibrate::bootstrap({0.5, 0.5, 0.5}).interval);
  CHECK(calibrate::bootstrap({0.5, 0.5, 0.5}).mean == 0.5);
}

TEST_CASE("bootstrap intervals of paired differences cover the truth about as often as they say") {
  std::mt19937_64 random(1);
  int covered = 0;
  for (int sample = 0; sample < 200; ++sample) {
    std::vector<double> differences(100);
    for (double& x : differences) {  // mean 0.1
      const double u = std::uniform_real_distribution<double>()(random);
      x = u < 0.2 ? 1.0 : u < 0.3 ? -1.0 : 0.0;
    }
    covered += holds(calibrate::bootstrap(differences), 0.1) ? 1 : 0;
  }
  CHECK(covered >= 180);
  CHECK(covered <= 199);
}

TEST_CASE("whether a problem is held out hangs on its name and the share alone") {
  std::size_t held_out = 0;
  for (std::size_t i = 0; i < 10000; ++i) {
    held_out += calibrate::is_held_out(name(i), 0.3) ? 1 : 0;
    if (calibrate::is_held_out(name(i), 0.3) && !calibrate::is_held_out(name(i), 0.5)) FAIL(name(i));
  }
  CHECK(std::abs(static_cast<double>(held_out) - 3000) < 4 * std::sqrt(10000 * 0.3 * 0.7));
}

TEST_CASE("answers are grouped by model, task and setting, over the problems that all settings answered") {
  std::vector<Answer> answers = record(40, {{0.5F, 0.5}, {1.0F, 0.5}}, 1);
  std::vector<Answer> other = record(20, {{0.5F, 0.5}}, 2);
  for (Answer& answer : other) answer.task = "another";
  answers.insert(answers.end(), other.begin(), other.end());
  answers.push_back(make_answer("of one setting alone", 1.0F, true));
  answers.push_back(make_answer(name(0), 0.5F, true, 2));
  answers.push_back(make_answer(name(0), 0.5F, true, 3));
  answers.push_back(answers.front());  // recorded twice
  const std::vector<Study> studies = calibrate::make_studies(answers, 0.5);
  REQUIRE(studies.size() == 2);
  CHECK(studies[0].name() == "model, another");
  CHECK(studies[1].name() == "model, task");
  REQUIRE(studies[1].runs.size() == 2);
  CHECK(studies[1].left_out == 1);
  for (const calibrate::Run& run : studies[1].runs) CHECK(run.selection.size() + run.held_out.size() == 40);
  CHECK(studies[1].runs[0].settings.reset.tau0 == 0.5F);
  // The problem with three answers counts once, by its share of correct ones.
  const calibrate::Run& run = studies[1].runs[0];
  const std::vector<double>& scores = calibrate::is_held_out(name(0), 0.5) ? run.held_out : run.selection;
  CHECK(scores[0] == Approx((2 + (answers.front().correct ? 1 : 0)) / 3.0));
}

TEST_CASE("answers that contradict each other, and too few of them, are refused") {
  std::vector<Answer> answers = record(40, {{0.5F, 0.5}}, 1);
  Answer again = answers.front();
  again.correct = !again.correct;
  answers.push_back(again);
  CHECK_THROWS_WITH(calibrate::make_studies(answers, 0.5),
                    "model, task: problem \"problem 0\" with seed 1 and ReSET tau_0 0.5, T_low 0.3, T_high 1, w 32 is "
                    "recorded with two different answers, expected one (or the same twice)");
  answers.back() = answers.front();
  answers.back().entropies[0] = 0.15F;
  CHECK_THROWS_AS(calibrate::make_studies(answers, 0.5), reset::Error);
  CHECK_THROWS_WITH(calibrate::make_studies(record(40, {{0.5F, 0.5}}, 1), 1e-9),
                    "model, task: the held-out split has 0 problems that all 1 settings answered, expected at least 2");
  answers = {make_answer("a", 0.5F, true), make_answer("b", 1.0F, true)};
  CHECK_THROWS_WITH(
      calibrate::make_studies(answers, 0.5),
      "model, task: the selection split has 0 problems that all 2 settings answered, expected at least 2");
}

TEST_CASE("the setting that is better is chosen, and the held-out split confirms it") {
  const std::vector<Answer> answers = record(1000, {{0.3F, 0.5}, {0.6F, 0.7}, {0.9F, 0.5}}, 3);
  const Study study = calibrate::make_studies(answers, 0.5)[0];
  const Choice choice = calibrate::choose(study);
  CHECK(choice.chosen == 1);
  CHECK(choice.measured);
  CHECK(choice.params.tau0 == 0.6F);
  CHECK(holds(choice.comparisons[1].held_out, 0.7));
  for (const std::size_t other : {std::size_t{0}, std::size_t{2}}) {
    CHECK(holds(choice.comparisons[other].held_out_gain, 0.2));
    CHECK(choice.comparisons[other].held_out_gain.interval->low > 0);
    CHECK(choice.comparisons[other].selection_gain.mean ==
          Approx(choice.comparisons[1].selection.mean - choice.comparisons[other].selection.mean));
  }
  CHECK(choice.comparisons[1].held_out_gain.mean == 0);
  CHECK_THAT(calibrate::report(study, choice),
             Contains("better than 2 of the 2 others") && Contains("* chosen: ReSET tau_0 0.6"));
}

TEST_CASE("the choice does not see the held-out split") {
  std::vector<Answer> answers = record(200, {{0.3F, 0.5}, {0.6F, 0.5}}, 4);
  const std::size_t before = calibrate::choose(calibrate::make_studies(answers, 0.5)[0]).chosen;
  const float chosen = before == 0 ? 0.3F : 0.6F;
  for (Answer& answer : answers) {
    if (calibrate::is_held_out(answer.problem, 0.5)) answer.correct = answer.settings.reset.tau0 != chosen;
  }
  const Study study = calibrate::make_studies(answers, 0.5)[0];
  const Choice choice = calibrate::choose(study);
  CHECK(choice.chosen == before);
  CHECK(choice.comparisons[before].held_out.mean == 0.0);
  CHECK_FALSE(choice.comparisons[before].held_out.interval);
  CHECK(choice.comparisons[1 - before].held_out_gain.mean == -1.0);
}

TEST_CASE("of equal settings the first is chosen, and one without ReSET never where there is one with it") {
  std::vector<Answer> answers = record(100, {{0.6F, 0.0}, {0.3F, 0.0}}, 5);
  for (std::size_t i = 0; i < 100; ++i) answers.push_back(without_reset(make_answer(name(i), 1.0F, true)));
  const Study study = calibrate::make_studies(answers, 0.5)[0];
  const Choice choice = calibrate::choose(study);
  CHECK(study.runs[choice.chosen].settings.reset.tau0 == 0.3F);
  CHECK(choice.comparisons[0].held_out_gain.mean == -1.0);
}

TEST_CASE(
    "without an answer of ReSET the threshold is the published quantile of the entropies, and nothing is claimed") {
  std::vector<Answer> answers;
  for (std::size_t i = 0; i < 100; ++i) answers.push_back(without_reset(make_answer(name(i), 2.5F, i % 2 == 0)));
  const std::vector<Study> studies = calibrate::make_studies(answers, 0.5);
  const Choice choice = calibrate::choose(studies[0]);
  CHECK_FALSE(choice.measured);
  std::vector<float> entropies;
  for (const Answer* answer : studies[0].runs[0].answers) {
    entropies.insert(entropies.end(), answer->entropies.begin(), answer->entropies.end());
  }
  CHECK(entropies.size() < 500);  // those of the held-out split are no part of it
  CHECK(choice.params.tau0 == reset::tau0_from_entropies(entropies));
  CHECK(choice.comparisons[0].entropies.quantiles[0] == reset::tau0_from_entropies(entropies, 0.7));
  CHECK_THAT(calibrate::report(studies[0], choice), Contains("no accuracy speaks for a threshold"));
  CHECK_THAT(calibrate::to_json(studies, {choice}), Contains("\"entropies\"") && Contains("\"held_out\": null"));
}

TEST_CASE("a replay is the policy's walk along the record") {
  Answer answer = make_answer("p", 0.5F, true);
  answer.entropies = {0.1F, 0.1F, 0.9F, 0.9F, 0.1F, 0.1F, 0.3F};
  answer.boundaries = {2, 4};
  reset::ReSETParams params = answer.settings.reset;
  params.tau0 = 0.2F;
  params.window = 0;
  // Uncertain is the second step alone, whose tokens reach its mean; were it not over, the last would lie below.
  CHECK(calibrate::replay({&answer}, params) == Approx(3.0 / 7));
  CHECK(calibrate::replay({&answer, &answer}, params) == Approx(3.0 / 7));
  answer.boundaries = {2};
  CHECK(calibrate::replay({&answer}, params) == Approx(2.0 / 7));
  params.tau0 = 0.0F;
  params.window = 128;
  CHECK(calibrate::replay({&answer}, params) == 1.0);
}
