#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <reset/detail/rounding.hpp>
#include <reset/status.hpp>

#include "model.hpp"
#include "support/catch.hpp"

using Catch::Matchers::Contains;

namespace {

struct Golden {
  std::vector<std::int32_t> tokens;
  std::vector<std::size_t> positions;
  std::vector<std::vector<float>> logits;  // float32 PyTorch, one row a position
};

std::vector<Golden> read_golden(const std::string& path) {
  std::ifstream file(path);
  REQUIRE(file);
  std::vector<Golden> prompts;
  const nlohmann::json golden = nlohmann::json::parse(file);
  for (const auto& prompt : golden.at("prompts")) {
    prompts.push_back({prompt.at("tokens").get<std::vector<std::int32_t>>(),
                       prompt.at("logits_at").get<std::vector<std::size_t>>(),
                       prompt.at("logits").get<std::vector<std::vector<float>>>()});
  }
  REQUIRE(prompts.size() >= 2);
  REQUIRE(prompts.size() <= static_cast<std::size_t>(engine::Model::kMaxRows));
  return prompts;
}

using Logits = std::vector<std::vector<float>>;

// Every logit of a prompt, `step` tokens at a time; what the model does not write stays a value that fails.
Logits run(engine::Model& model, const std::vector<std::int32_t>& tokens, std::size_t step) {
  const auto width = static_cast<std::size_t>(model.config().vocab_size);
  Logits logits(tokens.size(), std::vector<float>(width, 1e30F));
  engine::KvCache cache(model.config(), model.config().max_positions);
  for (std::size_t first = 0; first < tokens.size(); first += step) {
    std::vector<engine::Row> rows;
    for (std::size_t i = first; i < std::min(first + step, tokens.size()); ++i) {
      rows.push_back({tokens[i], &cache, logits[i].data()});
    }
    model.forward(rows);
  }
  return logits;
}

void check_against(const Golden& golden, const Logits& logits) {
  REQUIRE(golden.positions.size() == golden.logits.size());
  REQUIRE_FALSE(golden.positions.empty());
  bool finite = true;  // by the bits: a maximum passes over NaN
  double worst = 0;
  double largest = 0;
  for (std::size_t i = 0; i < golden.positions.size(); ++i) {
    const std::vector<float>& found = logits.at(golden.positions[i]);
    REQUIRE(found.size() == golden.logits[i].size());
    for (std::size_t id = 0; id < found.size(); ++id) {
      finite = finite && reset::detail::is_finite(found[id]) && reset::detail::is_finite(golden.logits[i][id]);
      const double expected = static_cast<double>(golden.logits[i][id]);
      worst = std::fmax(worst, std::fabs(static_cast<double>(found[id]) - expected));
      largest = std::fmax(largest, std::fabs(expected));
    }
  }
  REQUIRE(finite);
  CAPTURE(worst, largest);
  CHECK(largest > 1.0);
  CHECK(worst <= 1e-4 * largest);  // float32 against float32: only the order of sums differs
}

bool same_bits(const Logits& a, const Logits& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
  });
}

void compare(const std::string& checkpoint, const std::string& golden_path) {
  const engine::Weights weights(checkpoint);
  engine::Model one(weights, 1);
  engine::Model two(weights, 2);
  const auto most = static_cast<std::size_t>(engine::Model::kMaxRows);
  const std::vector<Golden> prompts = read_golden(golden_path);
  for (const Golden& golden : prompts) check_against(golden, run(one, golden.tokens, most));
  // A row depends neither on its neighbours nor on the thread that computes it.
  const Golden& first = prompts.front();
  const Logits alone = run(one, first.tokens, 1);
  check_against(first, alone);
  for (const std::size_t step : {std::size_t{5}, most}) CHECK(same_bits(run(two, first.tokens, step), alone));
}

const std::string kReasoner = RESET_REASONER_DIR;  // holds the model that ships and its golden logits

}  // namespace

TEST_CASE("BF16 logits agree with float32 PyTorch, as prefill and token by token") {
  compare(kReasoner + "/model/bf16", kReasoner + "/golden/bf16.json");
}

TEST_CASE("NVFP4 logits agree with float32 PyTorch on the dequantised weights") {
  compare(kReasoner + "/model/nvfp4", kReasoner + "/golden/nvfp4.json");
}

TEST_CASE("rows of different sequences do not mix") {
  const engine::Weights weights(kReasoner + "/model/nvfp4");
  engine::Model model(weights);
  const std::vector<Golden> prompts = read_golden(kReasoner + "/golden/nvfp4.json");
  const auto width = static_cast<std::size_t>(weights.config.vocab_size);
  std::vector<engine::KvCache> caches;
  std::vector<Logits> logits;
  std::size_t longest = 0;
  for (const Golden& golden : prompts) {
    caches.emplace_back(weights.config, weights.config.max_positions);
    logits.emplace_back(golden.tokens.size(), std::vector<float>(width, 1e30F));
    longest = std::max(longest, golden.tokens.size());
  }
  for (std::size_t i = 0; i < longest; ++i) {
    std::vector<engine::Row> rows;
    for (std::size_t p = 0; p < prompts.size(); ++p) {
      if (i < prompts[p].tokens.size()) rows.push_back({prompts[p].tokens[i], &caches[p], logits[p][i].data()});
    }
    model.forward(rows);
  }
  engine::Model alone(weights);
  for (std::size_t p = 0; p < prompts.size(); ++p) {
    check_against(prompts[p], logits[p]);
    CHECK(same_bits(logits[p], run(alone, prompts[p].tokens, 16)));
  }
}

TEST_CASE("a sequence that outgrows its cache is an error and changes nothing") {
  const engine::Weights weights(kReasoner + "/model/bf16");
  engine::Model model(weights);
  CHECK_THROWS_WITH(engine::KvCache(weights.config, weights.config.max_positions + 1), Contains("capacity is "));
  CHECK_THROWS_WITH(engine::KvCache(weights.config, 0), Contains("capacity is 0"));
  engine::KvCache full(weights.config, 3);
  engine::KvCache other(weights.config, 3);
  model.prefill({1, 4, 5}, full);
  CHECK_THROWS_WITH(model.forward({{6, &other, nullptr}, {6, &full, nullptr}}), Contains("4 tokens long"));
  CHECK(full.length() == 3);
  CHECK(other.length() == 0);
  full.truncate(2);
  CHECK_NOTHROW(model.forward({{5, &full, nullptr}}));
}

TEST_CASE("bad rows are refused") {
  const engine::Weights weights(kReasoner + "/model/bf16");
  engine::Model model(weights);
  engine::KvCache cache(weights.config, 64);
  const auto beyond = static_cast<std::int32_t>(weights.config.vocab_size);
  CHECK_THROWS_WITH(model.forward({{beyond, &cache, nullptr}}), Contains("token is " + std::to_string(beyond)));
  CHECK_THROWS_WITH(model.forward({{1, &cache, nullptr}, {-1, &cache, nullptr}}), Contains("token is -1"));
  CHECK_THROWS_WITH(model.forward(std::vector<engine::Row>(17, {1, &cache, nullptr})), Contains("17 rows"));
  CHECK(cache.length() == 0);
}
