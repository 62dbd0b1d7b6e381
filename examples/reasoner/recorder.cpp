#include "recorder.hpp"

#include <utility>

namespace reasoner {

Recorder::Recorder(std::string path, std::string model) : file_(std::move(path)), model_(std::move(model)) {}

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
    answer.add(record.entropy, record.boundary);
  }
  file_.add(answer);
}

}  // namespace reasoner
