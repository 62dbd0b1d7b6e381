#include "study.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include <reset/status.hpp>

namespace calibrate {
namespace {

using traces::Answer;
using traces::Settings;

using BySeed = std::map<std::uint64_t, const Answer*>;
using ByProblem = std::map<std::string, BySeed>;
using BySettings = std::map<Settings, ByProblem>;
using ByTask = std::map<std::pair<std::string, std::string>, BySettings>;

void insert(BySeed& answers, const Answer& answer) {
  const Answer& first = *answers.emplace(answer.seed, &answer).first->second;
  if (first.correct == answer.correct && first.entropies == answer.entropies && first.boundaries == answer.boundaries) {
    return;
  }
  throw reset::Error(answer.model + ", " + answer.task + ": problem \"" + answer.problem + "\" with seed " +
                     std::to_string(answer.seed) + " and " + answer.settings.text() +
                     " is recorded with two different answers, expected one (or the same twice)");
}

ByTask group(const std::vector<Answer>& answers) {
  ByTask tasks;
  for (const Answer& answer : answers) {
    insert(tasks[{answer.model, answer.task}][answer.settings][answer.problem], answer);
  }
  return tasks;
}

double score(const BySeed& answers) {
  const auto correct = std::count_if(answers.begin(), answers.end(), [](const auto& a) { return a.second->correct; });
  return static_cast<double>(correct) / static_cast<double>(answers.size());
}

// The problems that every run answered, and how many others there are.
std::pair<std::vector<std::string>, std::size_t> common_problems(const BySettings& runs) {
  std::map<std::string, std::size_t> answered;
  for (const auto& run : runs) {
    for (const auto& problem : run.second) ++answered[problem.first];
  }
  std::vector<std::string> common;
  for (const auto& [problem, count] : answered) {
    if (count == runs.size()) common.push_back(problem);
  }
  return {common, answered.size() - common.size()};
}

void require_problems(const Study& study, const char* split, std::size_t problems) {
  if (problems >= 2) return;
  throw reset::Error(study.name() + ": the " + split + " split has " + std::to_string(problems) +
                     " problems that all " + std::to_string(study.runs.size()) +
                     " settings answered, expected at least 2");
}

}  // namespace

bool is_held_out(const std::string& problem, double share) {
  std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a, whose high bits hang on the first bytes too little: mixed below
  for (const char c : problem) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9U;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebU;
  hash ^= hash >> 31;
  return static_cast<double>(hash >> 11) * 0x1p-53 < share;
}

std::vector<Study> make_studies(const std::vector<Answer>& answers, double held_out_share) {
  std::vector<Study> studies;
  for (const auto& [task, by_settings] : group(answers)) {
    const auto [problems, left_out] = common_problems(by_settings);
    Study study{task.first, task.second, {}, left_out};
    for (const auto& [settings, by_problem] : by_settings) {
      Run run{settings, {}, {}, {}};
      for (const std::string& problem : problems) {
        const BySeed& recorded = by_problem.at(problem);
        const bool held_out = is_held_out(problem, held_out_share);
        (held_out ? run.held_out : run.selection).push_back(score(recorded));
        if (held_out) continue;
        for (const auto& answer : recorded) run.answers.push_back(answer.second);
      }
      study.runs.push_back(std::move(run));
    }
    require_problems(study, "selection", study.runs[0].selection.size());
    require_problems(study, "held-out", study.runs[0].held_out.size());
    studies.push_back(std::move(study));
  }
  return studies;
}

}  // namespace calibrate
