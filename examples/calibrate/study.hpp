// Recorded answers, ordered for a comparison: one study for each model and task, one run for each setting, the problems
// that every run answered, split in two.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "answer.hpp"

namespace calibrate {

// The answers that were sampled with one setting.
struct Run {
  traces::Settings settings;
  std::vector<const traces::Answer*> answers;  // to problems of the selection split
  // Share of correct answers, problem by problem, in the same order for every run of the study.
  std::vector<double> selection;
  std::vector<double> held_out;
};

struct Study {
  std::string model;
  std::string task;
  std::vector<Run> runs;
  std::size_t left_out = 0;  // problems that some run did not answer

  std::string name() const { return model + ", " + task; }
};

// Whether a problem is in the held-out split, to which about `share` of all problems belong: by a hash of its name, so
// that it stays there whatever else is recorded.
bool is_held_out(const std::string& problem, double share);

// An answer recorded twice counts once. Throws reset::Error if one problem, setting and seed has two different answers,
// and if a split of a study has fewer than 2 problems. The studies point into `answers`.
std::vector<Study> make_studies(const std::vector<traces::Answer>& answers, double held_out_share);

}  // namespace calibrate
