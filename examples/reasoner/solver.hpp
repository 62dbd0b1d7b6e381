// Runs the model on problems, which share each pass over the weights; what comes out for one of them does not depend on
// the others.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <reset/sampler/boundary/vocabulary.hpp>
#include <reset/sampler/sampler_types.hpp>

#include "countdown.hpp"
#include "generator.hpp"
#include "trace.hpp"

namespace reasoner {

// How tokens are sampled, for every problem alike.
struct Policy {
  bool reset = true;  // false: every token at `temperature`
  float temperature = 0.6F;
  reset::ReSETParams params;
  float top_p = 0.95F;
  engine::Activations activations = engine::Activations::kFull;
  std::optional<std::vector<std::int32_t>> boundaries;  // tokens that end a step; nothing: the published rule
};

class Solver {
 public:
  // Sees each token as it is sampled, with its text (empty if it is no text).
  using OnToken = std::function<void(const TokenRecord& record, std::string_view text)>;

  // `slots` problems at a time, each layer's rows shared by `threads`. The references must outlive the solver.
  Solver(const engine::Weights& weights, const reset::Vocabulary& vocabulary, const Policy& policy, std::int64_t slots,
         int threads);

  // One problem, every token reported as it comes.
  Solution solve(const Problem& problem, std::uint64_t seed, const OnToken& on_token);

  // Takes problems from the list until `next` has passed its end, so that several solvers may share one list. Problem i
  // is sampled with the seed `seed` + i.
  void solve_all(const std::vector<Problem>& problems, std::uint64_t seed, std::atomic<std::size_t>& next,
                 std::vector<Solution>& solutions);

 private:
  // One problem in work; none: null.
  struct Slot {
    const Problem* problem = nullptr;
    Solution* solution = nullptr;
  };

  void begin(std::size_t slot, const Problem& problem, std::uint64_t seed, Solution& solution);
  // A token of every problem in work. Throws reset::Error for logits that are not numbers.
  void advance(const OnToken& on_token);
  void take(const engine::GeneratedToken& token, const OnToken& on_token);
  void finish(Slot& slot, bool by_itself);

  const reset::Vocabulary& vocabulary_;
  const engine::ModelConfig& config_;
  Policy policy_;
  std::unique_ptr<engine::Generator> generator_;
  std::vector<engine::GeneratedToken> tokens_;  // of the last advance()
  std::vector<Slot> slots_;
};

}  // namespace reasoner
