#include "study.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "text.hpp"

namespace reasoner {
namespace {

constexpr std::string_view kStepEnd = "\n\n";

std::size_t clamp_bin(double bin, std::size_t bins) {
  return static_cast<std::size_t>(std::clamp(bin, 0.0, static_cast<double>(bins - 1)));
}

std::size_t token_bin(float entropy) {
  const double decade = std::log10(std::max(1e-30, static_cast<double>(entropy)));
  return clamp_bin((decade - Study::kLowestDecade) * static_cast<double>(Study::kBinsPerDecade), Study::kTokenBins);
}

bool begins_with_digit(const std::string& text) { return !text.empty() && text[0] >= '0' && text[0] <= '9'; }

}  // namespace

void Study::add(const Solution& solution) {
  outcomes_ += !solution.finished ? '-' : solution.verdict.correct ? '1' : '0';
  for (const TokenRecord& record : solution.tokens) {
    tally_.add(record);
    entropies_.push_back(record.entropy);
    ++tokens_[token_bin(record.entropy)];
  }
  add_ages(solution);
  add_steps(solution);
}

void Study::add_ages(const Solution& solution) {
  std::size_t age = 0;
  for (const TokenRecord& record : solution.tokens) {
    boundaries_ += record.boundary ? 1 : 0;
    age = record.boundary ? 0 : age;
    ++ages_[std::min(age++, kOldest)];
  }
}

// A step that the limit cuts off does not count, nor does one that begins with a word.
void Study::add_steps(const Solution& solution) {
  std::string text;
  Tally step;
  for (const TokenRecord& record : solution.tokens) {
    const std::string_view token = engine::decode(vocabulary_, record.token);
    step.add(record);
    if (token != kStepEnd) {
      text += token;
      continue;
    }
    if (begins_with_digit(text)) {
      StepBin& bin = steps_[clamp_bin(step.mean(step.entropy) / kStepBinWidth, kStepBins)];
      ++bin.steps;
      bin.wrong += is_true_equation(text.substr(0, text.find(' '))) ? 0 : 1;
      bin.in_solved += solution.verdict.correct ? 1 : 0;
    }
    text.clear();
    step = {};
  }
}

std::int64_t Study::aged(std::size_t age) const {
  return std::accumulate(ages_.begin() + static_cast<std::ptrdiff_t>(age), ages_.end(), std::int64_t{0});
}

double Study::entropy_quantile(double q) {
  if (entropies_.empty()) return 0;
  const auto at = static_cast<std::ptrdiff_t>(q * static_cast<double>(entropies_.size() - 1));
  std::nth_element(entropies_.begin(), entropies_.begin() + at, entropies_.end());
  return static_cast<double>(entropies_[static_cast<std::size_t>(at)]);
}

double Study::share_above(float nats) const {
  const auto above = std::count_if(entropies_.begin(), entropies_.end(), [&](float h) { return h > nats; });
  return tally_.share(above);
}

}  // namespace reasoner
