#include "solver.hpp"

#include <string>
#include <utility>

#include <reset/status.hpp>

#include "text.hpp"

namespace reasoner {
namespace {

engine::GeneratorOptions generator_options(const reset::Vocabulary& vocabulary, const engine::ModelConfig& config,
                                           const Policy& policy, std::int64_t slots) {
  engine::GeneratorOptions options;
  options.slots = static_cast<std::int32_t>(slots);
  options.activations = policy.activations;
  options.sampled_columns = engine::sampled_columns(vocabulary, config);
  return options;
}

reset::TokenSetTable boundaries_of(const reset::Vocabulary& vocabulary, const Policy& policy) {
  if (policy.boundaries) return reset::TokenSetTable(vocabulary.size(), *policy.boundaries);
  return reset::TokenSetTable::published_rule(vocabulary);
}

const char* finding(reset::RowStatus status) {
  switch (status) {
    case reset::RowStatus::kNaN:
      return "a NaN";
    case reset::RowStatus::kPositiveInfinity:
      return "an infinity";
    default:
      return "no finite number";
  }
}

TokenRecord record_of(const reset::SampledToken& sampled) {
  return {sampled.token,
          sampled.entropy,
          static_cast<float>(sampled.policy.threshold),
          sampled.policy.temperature,
          sampled.active && sampled.policy.high,
          sampled.active && sampled.policy.uncertain,
          sampled.boundary};
}

}  // namespace

Solver::Solver(const engine::Weights& weights, const reset::Vocabulary& vocabulary, const Policy& policy,
               std::int64_t slots, int threads)
    : vocabulary_(vocabulary),
      config_(weights.config),
      policy_(policy),
      generator_(engine::make_host_generator(weights, boundaries_of(vocabulary, policy),
                                             generator_options(vocabulary, config_, policy, slots), threads)),
      slots_(static_cast<std::size_t>(slots)) {
  if (config_.bos_token < 0) throw reset::Error("config.json: bos_token_id is missing, expected the token of a prompt");
}

void Solver::begin(std::size_t index, const Problem& problem, std::uint64_t seed, Solution& solution) {
  std::vector<std::int32_t> prompt = engine::encode_longest(vocabulary_, problem.text() + "\n\n");
  prompt.insert(prompt.begin(), config_.bos_token);
  reset::RequestParams request;
  request.reset = policy_.params;
  request.reset_enabled = policy_.reset;
  request.sampling.temperature = policy_.temperature;
  request.sampling.top_p = policy_.top_p;
  request.seed = seed;
  generator_->begin(static_cast<std::int32_t>(index), prompt, request);
  slots_[index] = {&problem, &solution};
  solution = {};
}

void Solver::advance(const OnToken& on_token) {
  tokens_.clear();
  generator_->advance(tokens_);
  for (const engine::GeneratedToken& token : tokens_) take(token, on_token);
}

void Solver::take(const engine::GeneratedToken& token, const OnToken& on_token) {
  Slot& slot = slots_[static_cast<std::size_t>(token.slot)];
  const reset::SampledToken& sampled = token.sampled;
  if (sampled.status != reset::RowStatus::kOk) {
    throw reset::Error("problem " + slot.problem->text() + ": the logits of token " +
                       std::to_string(slot.solution->tokens.size()) + " hold " + finding(sampled.status) +
                       ", expected finite numbers from the model");
  }
  const TokenRecord record = record_of(sampled);
  const std::string_view text = engine::decode(vocabulary_, sampled.token);
  slot.solution->tokens.push_back(record);
  slot.solution->text += text;
  if (on_token) on_token(record, text);
  if (token.last) finish(slot, config_.is_eos(sampled.token));
}

void Solver::finish(Slot& slot, bool by_itself) {
  Solution& solution = *slot.solution;
  solution.finished = by_itself;
  solution.verdict = check_answer(*slot.problem, solution.text);
  if (!by_itself) {
    solution.verdict.correct = false;
    solution.verdict.reason = "cut off after " + std::to_string(solution.tokens.size()) + " tokens";
  }
  slot.problem = nullptr;
}

Solution Solver::solve(const Problem& problem, std::uint64_t seed, const OnToken& on_token) {
  Solution solution;
  begin(0, problem, seed, solution);
  while (slots_[0].problem != nullptr) advance(on_token);
  return solution;
}

void Solver::solve_all(const std::vector<Problem>& problems, std::uint64_t seed, std::atomic<std::size_t>& next,
                       std::vector<Solution>& solutions) {
  for (;;) {
    // A slot whose trace has ended takes the next problem at once, so that the rows stay filled.
    for (std::size_t index = 0; index < slots_.size(); ++index) {
      if (slots_[index].problem != nullptr) continue;
      const std::size_t problem = next.fetch_add(1);
      if (problem < problems.size()) begin(index, problems[problem], seed + problem, solutions[problem]);
    }
    advance({});
    if (tokens_.empty()) return;
  }
}

}  // namespace reasoner
