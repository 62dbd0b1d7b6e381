#include "choice.hpp"

#include <algorithm>
#include <optional>

#include <reset/sampler/calibrate.hpp>

namespace calibrate {
namespace {

std::size_t best_run(const Study& study) {
  const bool any_reset =
      std::any_of(study.runs.begin(), study.runs.end(), [](const Run& run) { return run.settings.reset_enabled; });
  std::optional<std::size_t> best;
  double best_sum = 0;
  for (std::size_t i = 0; i < study.runs.size(); ++i) {
    const Run& run = study.runs[i];
    if (run.settings.reset_enabled != any_reset) continue;
    double sum = 0;
    for (const double score : run.selection) sum += score;
    if (best && sum <= best_sum) continue;
    best = i;
    best_sum = sum;
  }
  return *best;
}

Estimate gain(const std::vector<double>& chosen, const std::vector<double>& other) {
  std::vector<double> differences(chosen.size());
  for (std::size_t i = 0; i < chosen.size(); ++i) differences[i] = chosen[i] - other[i];
  return bootstrap(differences);
}

Entropies summarise(const Run& run) {
  std::vector<float> all;
  for (const traces::Answer* answer : run.answers) {
    all.insert(all.end(), answer->entropies.begin(), answer->entropies.end());
  }
  Entropies entropies;
  entropies.tokens = static_cast<std::int64_t>(all.size());
  for (std::size_t i = 0; i < kQuantiles.size(); ++i) {
    entropies.quantiles[i] = reset::tau0_from_entropies(all, kQuantiles[i]);
  }
  entropies.high = run.settings.reset_enabled ? replay(run.answers, run.settings.reset) : 1.0;
  reset::ReSETParams candidate = run.settings.reset;
  candidate.tau0 = entropies.quantiles[kPublished];
  entropies.high_replayed = replay(run.answers, candidate);
  return entropies;
}

}  // namespace

double replay(const std::vector<const traces::Answer*>& answers, const reset::ReSETParams& params) {
  std::int64_t tokens = 0;
  std::int64_t high = 0;
  for (const traces::Answer* answer : answers) {
    reset::ReSETState state;
    auto boundary = answer->boundaries.begin();
    for (std::size_t i = 0; i < answer->entropies.size(); ++i) {
      const bool begins = boundary != answer->boundaries.end() && static_cast<std::size_t>(*boundary) == i;
      if (begins) ++boundary;
      high += reset::reset_step(params, state, answer->entropies[i], begins).high ? 1 : 0;
    }
    tokens += static_cast<std::int64_t>(answer->entropies.size());
  }
  return static_cast<double>(high) / static_cast<double>(tokens);
}

Choice choose(const Study& study) {
  Choice choice;
  choice.chosen = best_run(study);
  const Run& chosen = study.runs[choice.chosen];
  for (const Run& run : study.runs) {
    choice.comparisons.push_back({bootstrap(run.selection), bootstrap(run.held_out),
                                  gain(chosen.selection, run.selection), gain(chosen.held_out, run.held_out),
                                  summarise(run)});
  }
  choice.measured = chosen.settings.reset_enabled;
  choice.params = chosen.settings.reset;
  if (!choice.measured) choice.params.tau0 = choice.comparisons[choice.chosen].entropies.quantiles[kPublished];
  return choice;
}

}  // namespace calibrate
