#include "study.hpp"

#include <reset/io/tokenizer.hpp>

#include "study_policy.hpp"
#include "support/catch.hpp"
#include "text.hpp"

using Catch::Matchers::Contains;

namespace {

reset::Vocabulary vocabulary() {
  return reset::read_tokenizer(std::string(RESET_REASONER_DIR) + "/model/bf16/tokenizer.json").vocabulary;
}

// A trace of that text, its tokens of one entropy each.
reasoner::Solution trace(const reset::Vocabulary& words, const std::string& text, float entropy, bool solved) {
  reasoner::Solution solution;
  for (const std::int32_t token : engine::encode_longest(words, text)) {
    reasoner::TokenRecord record;
    record.token = token;
    record.entropy = entropy;
    solution.tokens.push_back(record);
  }
  solution.verdict.correct = solved;
  solution.finished = solved;
  return solution;
}

}  // namespace

TEST_CASE("policies are written as text") {
  const reset::Vocabulary words = vocabulary();
  const auto parse = [&](const char* text) { return reasoner::parse_policy(text, words); };

  CHECK_FALSE(parse("greedy").reset);
  CHECK(parse("greedy").temperature == 0);
  CHECK(parse("temperature=0.8").temperature == 0.8F);

  const reasoner::Policy reset = parse("reset,tau0=0.5,t_low=0.1,t_high=1.2,window=8,history=include,boundary= no");
  CHECK(reset.reset);
  CHECK(reset.params.tau0 == 0.5F);
  CHECK(reset.params.t_low == 0.1F);
  CHECK(reset.params.t_high == 1.2F);
  CHECK(reset.params.window == 8);
  CHECK(reset.params.history == reset::HistoryMode::kIncludeCurrent);
  REQUIRE(reset.boundaries);
  CHECK(words.bytes[static_cast<std::size_t>(reset.boundaries->at(0))] == " no");

  CHECK_FALSE(parse("reset,tau0=0.5,t_low=0.1").boundaries);
  CHECK(parse("reset,tau0=0.5,t_low=0.1").top_p == 0.95F);
  CHECK(parse("temperature=1,top_p=1").top_p == 1.0F);
  CHECK(parse("reset,tau0=0.5,tau0=0.3").params.tau0 == 0.3F);
  CHECK(parse("threshold,tau0=0.5,t_low=0.1").boundaries->empty());
}

TEST_CASE("what is no policy is refused by name") {
  const reset::Vocabulary words = vocabulary();
  for (const char* text : {"", "warm", "temperature=hot", "reset,tau=0.5", "reset,window=500", "reset,history=all",
                           "reset,boundary=zebra"}) {
    INFO(text);
    CHECK_THROWS_WITH(reasoner::parse_policy(text, words), Contains("expected"));
  }
}

TEST_CASE("a study counts tokens, steps and their false equations") {
  const reset::Vocabulary words = vocabulary();
  reasoner::Study study(words);
  study.add(trace(words, "41-8=33\n\n33+47=81 no\n\nans 1+1=2\n\n8*4=32", 0.12F, true));
  study.add(trace(words, "8*4=32\n\nans 8\n\n", 2.0F, false));

  CHECK(study.outcomes() == "1-");
  // The step that is cut off and the two that begin with a word do not count.
  CHECK(study.steps()[2].steps == 2);
  CHECK(study.steps()[2].wrong == 1);
  CHECK(study.steps()[2].in_solved == 2);
  CHECK(study.steps().back().steps == 1);
  CHECK(study.steps().back().in_solved == 0);

  std::int64_t counted = 0;
  for (const std::int64_t tokens : study.tokens()) counted += tokens;
  CHECK(counted == study.tally().tokens);
  CHECK(study.entropy_quantile(0) == Approx(0.12));
  CHECK(study.entropy_quantile(1) == Approx(2.0));
  const auto hot = static_cast<double>(engine::encode_longest(words, "8*4=32\n\nans 8\n\n").size());
  CHECK(study.share_above(1.0F) == Approx(hot / static_cast<double>(counted)));
}

TEST_CASE("a study tells wrong answers from traces that were cut off, and how old steps get") {
  const reset::Vocabulary words = vocabulary();
  reasoner::Study study(words);
  reasoner::Solution wrong = trace(words, "1+1=2", 0.1F, false);
  wrong.finished = true;
  study.add(wrong);
  CHECK(study.outcomes() == "0");
  CHECK(study.aged(0) == 5);
  CHECK(study.aged(2) == 3);
  CHECK(study.aged(5) == 0);

  reasoner::Solution cut = trace(words, "1+1=2", 0.1F, false);
  cut.tokens[3].boundary = true;
  study.add(cut);
  CHECK(study.outcomes() == "0-");
  CHECK(study.boundaries() == 1);
  CHECK(study.aged(0) == 10);
  CHECK(study.aged(2) == 4);
  CHECK(study.aged(4) == 1);
}
