#include "generator.hpp"

#include <cstring>
#include <map>
#include <vector>

#include <reset/sampler/reset_sampler.hpp>
#include <reset/status.hpp>

#include "model.hpp"
#include "process.hpp"
#include "small_decoder.hpp"
#include "support/catch.hpp"

using Catch::Matchers::Contains;
using testing::SmallDecoder;
using testing::Stored;

namespace {

using Tokens = std::vector<std::int32_t>;

struct Fixture {
  testing::Scratch folder;
  SmallDecoder decoder;
  explicit Fixture(SmallDecoder which = {"qwen2", Stored::kModelOpt, false, 0.003F, 5}) : decoder(std::move(which)) {
    decoder.write(folder / "model");
  }
  engine::Weights weights() const { return engine::Weights(folder / "model"); }
};

// Token 4 ends a step, and two tokens 5 in a row do.
reset::TokenSetTable boundaries() { return reset::TokenSetTable(SmallDecoder::kVocab, {4}, {5}); }

reset::RequestParams request_of(std::uint64_t seed) {
  reset::RequestParams request;
  request.seed = seed;
  request.reset.tau0 = 1.5F;
  request.reset.t_low = 0.7F;
  request.first_position = 99;  // not the caller's to say
  return request;
}

// Everything that a slot gives, by slot; ends slots after `most` tokens.
std::map<std::int32_t, std::vector<engine::GeneratedToken>> drain(engine::Generator& generator, std::size_t most) {
  std::map<std::int32_t, std::vector<engine::GeneratedToken>> by_slot;
  for (;;) {
    std::vector<engine::GeneratedToken> tokens;
    generator.advance(tokens);
    if (tokens.empty()) return by_slot;
    for (const engine::GeneratedToken& token : tokens) {
      by_slot[token.slot].push_back(token);
      if (by_slot[token.slot].size() == most && !token.last) generator.end(token.slot);
    }
  }
}

// The same loop by hand: the model and the sampler alone.
std::vector<reset::SampledToken> by_hand(const engine::Weights& weights, const Tokens& prompt, std::uint64_t seed,
                                         std::size_t count, engine::Activations activations) {
  const reset::TokenSetTable table = boundaries();
  engine::Model model(weights, 1, activations);
  engine::KvCache cache(weights.config, weights.config.max_positions);
  reset::SamplerConfig config;
  config.vocabulary = SmallDecoder::kVocab;
  reset::ReSETSampler sampler(config, table.detector());
  reset::RequestParams request = request_of(seed);
  request.first_position = static_cast<std::int64_t>(prompt.size());
  reset::throw_if_failed(sampler.add(0, request));
  std::vector<float> logits = model.prefill(prompt, cache);
  std::vector<reset::SampledToken> tokens(count);
  for (reset::SampledToken& token : tokens) {
    reset::throw_if_failed(sampler.sample(0, logits.data(), token));
    if (&token != &tokens.back()) model.forward({{token.token, &cache, logits.data()}});
  }
  return tokens;
}

}  // namespace

TEST_CASE("slots give what the model and the sampler give by hand, however many run") {
  const Fixture f;
  const engine::Weights weights = f.weights();
  const std::vector<Tokens> prompts = {
      {0, 9, 8}, {0}, {0, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46}};
  for (const auto activations : {engine::Activations::kFull, engine::Activations::kNvfp4}) {
    engine::GeneratorOptions options;
    options.slots = 20;  // more than the model takes rows at once
    options.activations = activations;
    const auto generator = engine::make_host_generator(weights, boundaries(), options, 2);
    for (std::int32_t slot = 0; slot < 19; ++slot) {  // the last one stays empty
      generator->begin(slot, prompts[static_cast<std::size_t>(slot) % 3], request_of(static_cast<std::uint64_t>(slot)));
    }
    const auto found = drain(*generator, 12);
    CHECK(found.size() == 19);
    for (const auto& [slot, tokens] : found) {
      const auto expected = by_hand(weights, prompts[static_cast<std::size_t>(slot) % 3],
                                    static_cast<std::uint64_t>(slot), tokens.size(), activations);
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        const reset::SampledToken& sampled = tokens[i].sampled;
        CHECK(sampled.token == expected[i].token);
        CHECK(std::memcmp(&sampled.entropy, &expected[i].entropy, sizeof sampled.entropy) == 0);
        CHECK(sampled.boundary == expected[i].boundary);
        CHECK(sampled.policy.temperature == expected[i].policy.temperature);
        CHECK(tokens[i].last == (weights.config.is_eos(sampled.token)));
        CHECK((i + 1 == tokens.size() || !tokens[i].last));
      }
    }
  }
}

TEST_CASE("a slot ends when it is full, and can begin again") {
  const Fixture f;
  engine::Weights weights = f.weights();
  weights.config.eos_tokens.clear();
  engine::GeneratorOptions options;
  options.context = 6;
  const auto generator = engine::make_host_generator(weights, boundaries(), options, 1);
  generator->begin(0, {0, 7, 3}, request_of(1));
  const auto first = drain(*generator, 100).at(0);
  CHECK(first.size() == 4);  // three that the slot has room for, and the one that comes after the last of them
  CHECK(first.back().last);
  CHECK_FALSE(first.front().last);
  generator->begin(0, {0, 7, 3, 9, 9, 9}, request_of(1));
  CHECK(drain(*generator, 100).at(0).size() == 1);
  generator->begin(0, {0, 7, 3}, request_of(1));
  std::vector<engine::GeneratedToken> tokens;
  generator->advance(tokens);
  generator->begin(0, {0, 7, 3}, request_of(1));  // in the middle of a sequence
  const auto again = drain(*generator, 100).at(0);
  REQUIRE(again.size() == first.size());
  for (std::size_t i = 0; i < again.size(); ++i) CHECK(again[i].sampled.token == first[i].sampled.token);
}

TEST_CASE("only the columns asked for are sampled") {
  const Fixture f;
  const engine::Weights weights = f.weights();
  engine::GeneratorOptions options;
  options.sampled_columns = 4;
  const auto generator = engine::make_host_generator(weights, boundaries(), options, 1);
  generator->begin(0, {0, 40}, request_of(2));
  const auto found = drain(*generator, 20).at(0);
  for (const engine::GeneratedToken& token : found) CHECK(token.sampled.token < 4);
}

TEST_CASE("what a generator cannot take is refused by name, and the others go on") {
  const Fixture f;
  const engine::Weights weights = f.weights();
  const auto make = [&](std::int32_t slots, std::int64_t context, std::int32_t columns) {
    engine::GeneratorOptions options;
    options.slots = slots;
    options.context = context;
    options.sampled_columns = columns;
    return engine::make_host_generator(weights, boundaries(), options, 1);
  };
  CHECK_THROWS_WITH(make(0, 0, 0), Contains("slots is 0, expected at least 1"));
  CHECK_THROWS_WITH(make(1, 41, 0), Contains("capacity is 41, expected 1..40"));
  CHECK_THROWS_WITH(make(1, 0, 51), Contains("sampled_columns is 51, expected 0..50"));
  const auto generator = make(2, 8, 0);
  generator->begin(0, {0, 1}, request_of(1));
  CHECK_THROWS_WITH(generator->begin(2, {0}, request_of(1)), Contains("slot is 2, expected 0..1"));
  CHECK_THROWS_WITH(generator->end(-1), Contains("slot is -1"));
  CHECK_THROWS_WITH(generator->begin(1, {}, request_of(1)), Contains("the prompt is 0 tokens long, expected 1..8"));
  CHECK_THROWS_WITH(generator->begin(1, Tokens(9, 3), request_of(1)), Contains("the prompt is 9 tokens long"));
  CHECK_THROWS_WITH(generator->begin(1, {0, 50}, request_of(1)), Contains("token is 50, expected 0..49"));
  reset::RequestParams request = request_of(1);
  request.sampling.top_p = 2.0F;
  CHECK_THROWS_WITH(generator->begin(1, {0}, request), Contains("top_p is 2, expected 0..1"));
  const auto found = drain(*generator, 3);
  CHECK(found.size() == 1);
  CHECK(found.count(0) == 1);
}

TEST_CASE(
    "sequences that begin together are those that begin alone, and one that is refused keeps all from beginning") {
  const Fixture f;
  const engine::Weights weights = f.weights();
  engine::GeneratorOptions options;
  options.slots = 3;
  const auto generator = engine::make_host_generator(weights, boundaries(), options, 1);
  const engine::Prompt first = {2, {0, 9, 8}, request_of(4)};
  const engine::Prompt second = {0, {0, 30, 31, 32, 33}, request_of(5)};
  generator->begin({first, second});
  const auto together = drain(*generator, 12);
  REQUIRE(together.size() == 2);
  for (const engine::Prompt& prompt : {first, second}) {
    generator->begin(prompt.slot, prompt.tokens, prompt.request);
    const auto alone = drain(*generator, 12).at(prompt.slot);
    const auto& found = together.at(prompt.slot);
    REQUIRE(found.size() == alone.size());
    for (std::size_t i = 0; i < alone.size(); ++i) CHECK(found[i].sampled.token == alone[i].sampled.token);
  }
  CHECK_THROWS_WITH(generator->begin({first, first}), Contains("slot is 2, expected once"));
  generator->begin({first});
  CHECK_THROWS_WITH(generator->begin({second, {2, {}, request_of(1)}}), Contains("the prompt is 0 tokens long"));
  CHECK(drain(*generator, 12).empty());
}

TEST_CASE("a slot whose request has raised its flag ends with the token that tells so") {
  const Fixture f;
  engine::Weights weights = f.weights();
  weights.config.eos_tokens.clear();
  std::vector<std::int32_t> every;
  for (std::int32_t token = 0; token < SmallDecoder::kVocab; ++token) every.push_back(token);
  const auto generator =
      engine::make_host_generator(weights, reset::TokenSetTable(SmallDecoder::kVocab, every, {}), {}, 1);
  reset::RequestParams request = request_of(3);
  generator->begin(0, {0, 7, 3}, request);
  const auto whole = drain(*generator, 100).at(0);
  CHECK(whole.back().last);
  for (const engine::GeneratedToken& token : whole) CHECK_FALSE(token.stopped);
  request.early_stop.patience = 2;
  request.early_stop.progress = 100.0F;  // which no step makes
  generator->begin(0, {0, 7, 3}, request);
  const auto stopped = drain(*generator, 100).at(0);
  REQUIRE(stopped.size() < whole.size());
  for (std::size_t i = 0; i < stopped.size(); ++i) {
    const bool last = i + 1 == stopped.size();
    CHECK(stopped[i].sampled.token == whole[i].sampled.token);
    CHECK(stopped[i].sampled.stop == last);
    CHECK(stopped[i].stopped == last);
    CHECK(stopped[i].last == last);
  }
}
