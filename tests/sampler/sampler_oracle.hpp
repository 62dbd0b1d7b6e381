// Truncation by a full sort in double, from the definition: what the sampler's selection must agree with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include <reset/sampler/entropy.hpp>

namespace sampler_test {

struct Kept {
  std::vector<std::int32_t> ids;    // best first
  std::vector<double> probability;  // renormalised over the kept
};

inline Kept truncate(const std::vector<float>& row, double temperature, int top_k, double top_p, double min_p) {
  Kept kept;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (reset::detail::is_finite(row[i])) kept.ids.push_back(static_cast<std::int32_t>(i));
  }
  const auto logit = [&](std::int32_t id) { return static_cast<double>(row[static_cast<std::size_t>(id)]); };
  std::stable_sort(kept.ids.begin(), kept.ids.end(), [&](auto a, auto b) { return logit(a) > logit(b); });
  if (top_k > 0 && kept.ids.size() > static_cast<std::size_t>(top_k)) kept.ids.resize(static_cast<std::size_t>(top_k));
  const double max = logit(kept.ids.front());
  std::vector<double> weight;
  for (const std::int32_t id : kept.ids) weight.push_back(std::exp(std::max((logit(id) - max) / temperature, -700.0)));
  const double total = std::accumulate(weight.begin(), weight.end(), 0.0);
  std::size_t count = weight.size();
  if (top_p < 1.0) {
    double sum = weight[0];
    for (count = 1; count < weight.size() && sum < top_p * total; ++count) sum += weight[count];
  }
  if (min_p > 0.0) {
    std::size_t above = 0;
    while (above < count && (logit(kept.ids[above]) - max) / temperature >= std::log(min_p)) ++above;
    count = above;
  }
  kept.ids.resize(count);
  weight.resize(count);
  const double left = std::accumulate(weight.begin(), weight.end(), 0.0);
  for (const double w : weight) kept.probability.push_back(w / left);
  return kept;
}

}  // namespace sampler_test
