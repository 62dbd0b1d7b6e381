#include "solver.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <reset/status.hpp>

#include "text.hpp"

namespace reasoner {
namespace {

reset::SamplerConfig sampler_config(const reset::Vocabulary& vocabulary, const engine::ModelConfig& config,
                                    std::int64_t slots) {
  reset::SamplerConfig sampler;
  sampler.vocabulary = engine::sampled_columns(vocabulary, config);
  sampler.row_stride = config.vocab_size;
  sampler.slots = static_cast<std::int32_t>(slots);
  return sampler;
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
      model_(weights, threads, policy.activations),
      boundaries_(policy.boundaries ? reset::TokenSetTable(vocabulary.size(), *policy.boundaries)
                                    : reset::TokenSetTable::published_rule(vocabulary)),
      sampler_(sampler_config(vocabulary, config_, slots), boundaries_.detector()) {
  if (config_.bos_token < 0) throw reset::Error("config.json: bos_token_id is missing, expected the token of a prompt");
  for (std::int64_t slot = 0; slot < slots; ++slot) {
    slots_.push_back({engine::KvCache(config_, config_.max_positions),
                      std::vector<float>(static_cast<std::size_t>(config_.vocab_size)), nullptr, nullptr});
  }
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
  request.first_position = static_cast<std::int64_t>(prompt.size());
  reset::throw_if_failed(sampler_.add(static_cast<std::int32_t>(index), request));
  Slot& slot = slots_[index];
  slot.cache.truncate(0);
  slot.logits = model_.prefill(prompt, slot.cache);
  slot.problem = &problem;
  slot.solution = &solution;
  solution = {};
}

bool Solver::step(std::size_t index, const OnToken& on_token) {
  Slot& slot = slots_[index];
  reset::SampledToken sampled;
  reset::throw_if_failed(sampler_.sample(static_cast<std::int32_t>(index), slot.logits.data(), sampled));
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
  const bool ended = config_.is_eos(sampled.token);
  if (!ended && slot.cache.length() < slot.cache.capacity()) return true;
  finish(slot, ended);
  return false;
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
  while (step(0, on_token)) {
    model_.forward({{solution.tokens.back().token, &slots_[0].cache, slots_[0].logits.data()}});
  }
  return solution;
}

void Solver::solve_all(const std::vector<Problem>& problems, std::uint64_t seed, std::atomic<std::size_t>& next,
                       std::vector<Solution>& solutions) {
  for (;;) {
    std::vector<engine::Row> rows;
    for (std::size_t index = 0; index < slots_.size(); ++index) {
      Slot& slot = slots_[index];
      // A slot whose trace ends takes the next problem at once, so that the rows stay filled.
      while (slot.problem == nullptr || !step(index, {})) {
        const std::size_t problem = next.fetch_add(1);
        if (problem >= problems.size()) break;
        begin(index, problems[problem], seed + problem, solutions[problem]);
      }
      if (slot.problem != nullptr) {
        rows.push_back({slot.solution->tokens.back().token, &slot.cache, slot.logits.data()});
      }
    }
    if (rows.empty()) return;
    model_.forward(rows);
  }
}

}  // namespace reasoner
