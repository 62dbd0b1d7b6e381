#include "solver.hpp"

#include <cstring>
#include <limits>
#include <set>

#include <reset/io/tokenizer.hpp>
#include <reset/sampler/policy.hpp>

#include "support/catch.hpp"
#include "text.hpp"

using Catch::Matchers::Contains;

namespace {

const std::string kReasoner = RESET_REASONER_DIR;

struct Fixture {
  engine::Weights weights{kReasoner + "/model/nvfp4"};
  reset::Vocabulary vocabulary = reset::read_tokenizer(kReasoner + "/model/nvfp4/tokenizer.json").vocabulary;
  // Of three numbers, so that the traces are short.
  std::vector<reasoner::Problem> problems = [] {
    std::vector<reasoner::Problem> short_ones;
    for (const auto& problem : reasoner::read_problems(kReasoner + "/data/held_out.txt")) {
      if (problem.numbers.size() == 3 && short_ones.size() < 3) short_ones.push_back(problem);
    }
    return short_ones;
  }();
  reasoner::Policy policy;
};

bool same(const reasoner::Solution& a, const reasoner::Solution& b) {
  const auto equal = [](const reasoner::TokenRecord& x, const reasoner::TokenRecord& y) {
    return x.token == y.token && std::memcmp(&x.entropy, &y.entropy, sizeof x.entropy) == 0 && x.high == y.high &&
           x.uncertain == y.uncertain;
  };
  return a.text == b.text && a.finished == b.finished &&
         std::equal(a.tokens.begin(), a.tokens.end(), b.tokens.begin(), b.tokens.end(), equal);
}

}  // namespace

TEST_CASE("a trace is the same alone and in a batch, and another with another seed") {
  const Fixture f;
  std::vector<reasoner::Solution> batch(f.problems.size());
  std::atomic<std::size_t> next{0};
  // Fewer slots than problems: some begin while others are in the middle of a trace.
  reasoner::Solver(f.weights, f.vocabulary, f.policy, 2, 1).solve_all(f.problems, 11, next, batch);
  reasoner::Solver alone(f.weights, f.vocabulary, f.policy, 1, 2);
  for (std::size_t i = 0; i < f.problems.size(); ++i) {
    const auto solution = alone.solve(f.problems[i], 11 + i, {});
    REQUIRE_FALSE(solution.tokens.empty());
    CHECK(same(solution, batch[i]));
  }
  CHECK_FALSE(same(alone.solve(f.problems[0], 500, {}), batch[0]));
}

TEST_CASE("the policy that the records show is the library's") {
  const Fixture f;
  reasoner::Solver solver(f.weights, f.vocabulary, f.policy, 1, 1);
  std::string text;
  const auto solution = solver.solve(reasoner::parse_problem("13,10,18:148"), 3,
                                     [&](const auto&, std::string_view part) { text += part; });
  CHECK(text == solution.text);
  reset::ReSETState state;
  bool boundary = false;
  std::set<float> temperatures;
  for (const reasoner::TokenRecord& record : solution.tokens) {
    const auto decision = reset::reset_step(f.policy.params, state, record.entropy, boundary);
    CHECK(decision.temperature == record.temperature);
    CHECK(decision.high == record.high);
    CHECK(decision.uncertain == record.uncertain);
    CHECK(static_cast<float>(decision.threshold) == record.threshold);
    boundary = engine::decode(f.vocabulary, record.token) == "\n\n";
    temperatures.insert(record.temperature);
  }
  CHECK(temperatures == std::set<float>{f.policy.params.t_low, f.policy.params.t_high});
}

TEST_CASE("the model solves problems of three numbers") {
  const Fixture f;
  reasoner::Policy greedy;
  greedy.reset = false;
  greedy.temperature = 0.0F;
  std::vector<reasoner::Solution> solutions(f.problems.size());
  std::atomic<std::size_t> next{0};
  reasoner::Solver(f.weights, f.vocabulary, greedy, 16, 1).solve_all(f.problems, 0, next, solutions);
  for (const auto& solution : solutions) CHECK(solution.verdict.correct);  // 99.9 % of many are
}

TEST_CASE("a model whose logits are not numbers is an error, not a trace") {
  Fixture f;
  f.weights.final_norm[0] = std::numeric_limits<float>::quiet_NaN();
  reasoner::Solver solver(f.weights, f.vocabulary, f.policy, 1, 1);
  CHECK_THROWS_WITH(solver.solve(f.problems[0], 1, {}),
                    Contains(f.problems[0].text()) && Contains("token 0 hold a NaN, expected finite numbers"));
}
