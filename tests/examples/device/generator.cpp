// The generator of a GPU: slots and what becomes of them, memory, refusals.
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include <reset/status.hpp>

#include "examples/device/fixture.hpp"

using Catch::Matchers::Contains;
using engine::cuda::Decoder;
using engine::cuda::DecoderOptions;
using namespace testing;

namespace {

// What each slot gives until it ends or has `most` tokens.
std::map<std::int32_t, Tokens> drain(engine::Generator& generator, std::size_t most) {
  std::map<std::int32_t, Tokens> by_slot;
  for (;;) {
    std::vector<engine::GeneratedToken> tokens;
    generator.advance(tokens);
    if (tokens.empty()) return by_slot;
    for (const engine::GeneratedToken& token : tokens) {
      Tokens& all = by_slot[token.slot];
      if (all.size() == most) continue;  // the device was ahead
      all.push_back(token.sampled.token);
      if (all.size() == most && !token.last) generator.end(token.slot);
    }
  }
}

}  // namespace

TEST_CASE("slots are used again, end early and refuse what cannot be", "[generator]") {
  const engine::Weights weights(demo("nvfp4"));
  const engine::cuda::DeviceWeights on_device = engine::cuda::upload(weights);
  engine::GeneratorOptions options;
  options.slots = 3;
  options.context = 64;
  const auto generator = engine::cuda::make_cuda_generator(on_device, boundaries(weights.config), options, true);
  const std::vector<Tokens> prompts = many_prompts(6);
  generator->begin(0, prompts[0], sampled(1));
  const Tokens alone = drain(*generator, 20).at(0);
  CHECK(drain(*generator, 20).empty());

  // The same request between others, in a slot that has been used, while a neighbour is refused.
  generator->begin(1, prompts[1], sampled(2));
  generator->begin(2, prompts[2], sampled(3));
  std::vector<engine::GeneratedToken> tokens;
  generator->advance(tokens);
  CHECK_THROWS_WITH(generator->begin(1, Tokens(65, 4), sampled(4)), Contains("expected 1..64"));
  CHECK_THROWS_WITH(generator->begin(1, {99}, sampled(4)), Contains("token is 99"));
  CHECK_THROWS_WITH(generator->begin(3, prompts[1], sampled(4)), Contains("slot is 3"));
  reset::RequestParams broken = sampled(4);
  broken.sampling.top_p = 2.0F;
  CHECK_THROWS_WITH(generator->begin(1, prompts[1], broken), Contains("top_p"));
  tokens.clear();
  generator->advance(tokens);  // the refused slot is empty
  for (const engine::GeneratedToken& token : tokens) CHECK(token.slot == 2);
  CHECK_FALSE(tokens.empty());
  generator->begin(0, prompts[0], sampled(1));
  generator->begin(1, prompts[3], sampled(5));
  const auto all = drain(*generator, 20);
  CHECK(all.at(0) == alone);
  const auto ends_well = [&](const Tokens& text, std::size_t most) {
    return text.size() == most || (text.size() < most && weights.config.is_eos(text.back()));
  };
  CHECK(ends_well(all.at(1), 20));

  // A slot that is full ends by itself, after the token that there is no room to read.
  generator->begin(2, Tokens(60, 17), greedy());
  const auto full = drain(*generator, 100);
  CHECK(ends_well(full.at(2), 5));
}

TEST_CASE("sequences that begin together give the tokens of each alone, and none begins beside a refused one",
          "[generator]") {
  const engine::Weights weights(demo("nvfp4"));
  const engine::cuda::DeviceWeights on_device = engine::cuda::upload(weights);
  engine::GeneratorOptions options;
  options.slots = 4;
  options.context = 64;
  const auto generator = engine::cuda::make_cuda_generator(on_device, boundaries(weights.config), options, true);
  const std::vector<Tokens> texts = many_prompts(3);
  const std::vector<engine::Prompt> prompts = {
      {3, texts[0], sampled(1)}, {0, texts[1], sampled(2)}, {1, texts[2], sampled(3)}};
  generator->begin(prompts);
  const auto together = drain(*generator, 16);
  REQUIRE(together.size() == prompts.size());
  for (const engine::Prompt& prompt : prompts) {
    CAPTURE(prompt.slot);
    generator->begin({prompt});
    CHECK(drain(*generator, 16).at(prompt.slot) == together.at(prompt.slot));
  }
  CHECK_THROWS_WITH(generator->begin({prompts[0], prompts[0]}), Contains("slot is 3, expected once"));
  generator->begin({prompts[1]});
  CHECK_THROWS_WITH(generator->begin({prompts[1], {2, {}, sampled(4)}}), Contains("0 tokens"));
  CHECK(drain(*generator, 16).empty());
}

// Every token begins a step here, and no step comes to less than all before it.
TEST_CASE("a slot whose request has raised its flag ends with the token that tells so", "[generator]") {
  engine::Weights weights(demo("nvfp4"));
  weights.config.eos_tokens.clear();
  const engine::cuda::DeviceWeights on_device = engine::cuda::upload(weights);
  const auto vocabulary = static_cast<std::int32_t>(weights.config.vocab_size);
  Tokens every;
  for (std::int32_t token = 0; token < vocabulary; ++token) every.push_back(token);
  engine::GeneratorOptions options;
  options.slots = 2;
  options.context = 64;
  const auto generator = engine::cuda::make_cuda_generator(
      on_device, reset::TokenSetTable(weights.config.vocab_size, every, {}), options, true);
  reset::RequestParams request = sampled(1);
  request.early_stop.patience = 2;
  request.early_stop.progress = 100.0F;
  const Tokens prompt = many_prompts(1).front();
  generator->begin({{0, prompt, request}, {1, prompt, sampled(1)}});
  std::vector<engine::GeneratedToken> tokens;
  std::map<std::int32_t, std::vector<engine::GeneratedToken>> by_slot;
  do {
    tokens.clear();
    generator->advance(tokens);
    for (const engine::GeneratedToken& token : tokens) by_slot[token.slot].push_back(token);
  } while (!tokens.empty());
  const auto& stopped = by_slot.at(0);
  const auto& whole = by_slot.at(1);
  REQUIRE(stopped.size() < whole.size());
  CHECK(whole.size() == 64 - prompt.size() + 1);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    CHECK_FALSE(whole[i].stopped);
    if (i >= stopped.size()) continue;
    const bool last = i + 1 == stopped.size();
    CHECK(stopped[i].sampled.token == whole[i].sampled.token);
    CHECK(stopped[i].sampled.stop == last);
    CHECK(stopped[i].stopped == last);
    CHECK(stopped[i].last == last);
  }
}

TEST_CASE("32 thousand tokens take no more memory than one", "[generator]") {
  engine::ModelConfig config;
  config.hidden_size = 256;
  config.intermediate_size = 512;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = 1;
  config.head_dim = 64;
  config.vocab_size = 1000;
  config.max_positions = 40960;
  config.rope_theta = 1e6F;
  config.rms_norm_eps = 1e-6F;
  const engine::cuda::DeviceWeights weights =
      engine::cuda::random_weights(config, engine::cuda::WeightForm::kNvfp4, true, std::size_t{1} << 30);
  engine::GeneratorOptions options;
  options.slots = 2;
  options.context = at_most(32768, 512);
  const auto generator = engine::cuda::make_cuda_generator(weights, boundaries(config), options);
  generator->begin(0, {5, 6, 7}, sampled(1));
  std::vector<engine::GeneratedToken> tokens;
  generator->advance(tokens);
  std::size_t before = 0;
  std::size_t after = 0;
  std::size_t total = 0;
  REQUIRE(cudaMemGetInfo(&before, &total) == cudaSuccess);
  std::size_t count = tokens.size();
  bool sound = true;
  do {
    tokens.clear();
    generator->advance(tokens);
    count += tokens.size();
    for (const auto& token : tokens) sound = sound && token.sampled.status == reset::RowStatus::kOk;
  } while (!tokens.empty());
  REQUIRE(cudaMemGetInfo(&after, &total) == cudaSuccess);
  CHECK(count == static_cast<std::size_t>(options.context) - 3 + 1);
  CHECK(sound);
  CHECK(before == after);
}

TEST_CASE("options that cannot be are refused in one sentence", "[generator]") {
  const engine::Weights weights(demo("nvfp4"));
  const engine::cuda::DeviceWeights on_device = engine::cuda::upload(weights);
  const auto make = [&](std::int32_t slots, std::int64_t context, engine::Activations activations) {
    engine::GeneratorOptions options;
    options.slots = slots;
    options.context = context;
    options.activations = activations;
    return engine::cuda::make_cuda_generator(on_device, boundaries(weights.config), options);
  };
  CHECK_THROWS_WITH(make(1, 0, engine::Activations::kNvfp4), Contains("no input scale"));
  DecoderOptions two;
  two.slots = 2;
  Decoder decoder(on_device, boundaries(weights.config), two);
  CHECK_THROWS_WITH(decoder.begin({{1, {4}, greedy()}, {1, {5}, greedy()}}), Contains("slot is 1, expected once"));
  CHECK_THROWS_WITH(decoder.end(2), Contains("slot is 2, expected 0..1"));
  CHECK_THROWS_WITH(decoder.place(0, 768), Contains("position is 768, expected -1..767"));
  CHECK_THROWS_WITH(decoder.wait(0, 0), Contains("step is 0"));
}
