#include "recorder.hpp"

#include <cmath>
#include <filesystem>
#include <utility>

#include <reset/status.hpp>

#include "answer.hpp"

namespace reasoner {

Recorder::Recorder(std::string path, std::string model) : path_(std::move(path)), model_(std::move(model)) {
  if (std::filesystem::exists(path_)) throw reset::Error("--trace is " + path_ + ", which exists, expected a new file");
  file_.open(path_);
  if (!file_) throw reset::Error("--trace is " + path_ + ", which cannot be written, expected a folder that can");
}

void Recorder::add(const Policy& policy, const Problem& problem, std::uint64_t seed, const Solution& solution) {
  traces::Answer answer;
  answer.model = model_;
  answer.task = "countdown";
  answer.problem = problem.text();
  answer.seed = seed;
  answer.correct = solution.verdict.correct;
  answer.settings.reset_enabled = policy.reset;
  answer.settings.sampling.top_p = policy.top_p;
  // With ReSET every token is the policy's, and the other temperature says nothing.
  if (policy.reset) {
    answer.settings.reset = policy.params;
  } else {
    answer.settings.sampling.temperature = policy.temperature;
  }
  for (const TokenRecord& record : solution.tokens) {
    if (!std::isfinite(record.entropy)) continue;  // a bad row's
    if (record.boundary) answer.boundaries.push_back(static_cast<std::int64_t>(answer.entropies.size()));
    answer.entropies.push_back(record.entropy);
  }
  file_ << traces::to_line(answer) << '\n';
}

void Recorder::close() {
  file_.close();
  if (!file_) throw reset::Error("--trace is " + path_ + ", which cannot be written to its end, expected enough space");
}

}  // namespace reasoner
