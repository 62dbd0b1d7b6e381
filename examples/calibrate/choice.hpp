// What a study says: the setting of ReSET that did best on the selection split, how it stands against every other one
// on both splits, and what thresholds the entropies suggest.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <reset/sampler/policy.hpp>

#include "bootstrap.hpp"
#include "study.hpp"

namespace calibrate {

inline constexpr std::array<double, 3> kQuantiles = {0.7, 0.8, 0.9};
inline constexpr std::size_t kPublished = 1;  // the one that tau_0 is published at

// The entropies of a run on the selection split.
struct Entropies {
  std::int64_t tokens = 0;
  std::array<float, kQuantiles.size()> quantiles = {};  // candidates for tau_0
  double high = 0;                                      // share of tokens at T_high as recorded; 1 without ReSET
  double high_replayed = 0;  // the same, had tau_0 been the published quantile and the tokens nevertheless the same
};

// How a run did, and how the chosen one differs from it, paired by problem.
struct Comparison {
  Estimate selection;
  Estimate held_out;
  Estimate selection_gain;  // the chosen run minus this one
  Estimate held_out_gain;
  Entropies entropies;
};

struct Choice {
  std::size_t chosen = 0;  // index of the run
  // Whether the parameters were run and graded. If no run had ReSET on, tau_0 is the published quantile of the
  // entropies of the best run, and the other parameters are defaults about which the record says nothing.
  bool measured = false;
  reset::ReSETParams params;
  std::vector<Comparison> comparisons;  // one a run
};

// The most accurate run on the selection split is chosen, among equals the first; among those with ReSET if there are
// any.
Choice choose(const Study& study);

// Share of tokens at T_high if the policy walks along recorded answers with these parameters.
double replay(const std::vector<const traces::Answer*>& answers, const reset::ReSETParams& params);

}  // namespace calibrate
