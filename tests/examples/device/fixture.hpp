// What the tests of the engine on the device share: checkpoints, prompts, requests, and how far logits are apart.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <reset/detail/rounding.hpp>
#include <reset/sampler/boundary/token_set.hpp>

#include "cuda_generator.hpp"
#include "decoder.hpp"
#include "examples/device/reduced.hpp"
#include "examples/process.hpp"
#include "examples/small_decoder.hpp"
#include "model.hpp"
#include "support/catch.hpp"

namespace testing {

using Tokens = std::vector<std::int32_t>;

inline std::string demo(const char* precision) { return std::string(RESET_REASONER_DIR "/model/") + precision; }

// The texts of the committed golden logits.
inline std::vector<Tokens> golden_prompts() {
  std::ifstream file(RESET_REASONER_DIR "/golden/bf16.json");
  REQUIRE(file);
  const nlohmann::json golden = nlohmann::json::parse(file);
  std::vector<Tokens> prompts;
  for (const auto& prompt : golden.at("prompts")) {
    prompts.push_back(prompt.at("tokens").get<Tokens>());
  }
  REQUIRE(prompts.size() >= 2);
  return prompts;
}

inline reset::TokenSetTable boundaries(const engine::ModelConfig& config) {
  return reset::TokenSetTable(static_cast<std::int32_t>(config.vocab_size), {3}, {5});
}

inline reset::RequestParams greedy() {
  reset::RequestParams request;
  request.reset_enabled = false;
  request.sampling.temperature = 0;
  return request;
}

inline reset::RequestParams sampled(std::uint64_t seed) {
  reset::RequestParams request;
  request.reset.tau0 = 0.5F;
  request.reset.t_low = 0.4F;
  request.sampling.top_p = 0.95F;
  request.seed = seed;
  return request;
}

// How far the device's logits are from the CPU's, over the largest of them.
struct Distance {
  double worst = 0;
  double squares = 0;
  double largest = 0;
  std::size_t count = 0;
  bool finite = true;

  void add(const std::vector<float>& found, const std::vector<float>& expected) {
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      finite = finite && reset::detail::is_finite(found[i]) && reset::detail::is_finite(expected[i]);
      const double difference = std::fabs(static_cast<double>(found[i]) - static_cast<double>(expected[i]));
      worst = std::max(worst, difference);
      squares += difference * difference;
      largest = std::max(largest, std::fabs(static_cast<double>(expected[i])));
    }
    count += found.size();
  }
  void add(const Distance& other) {
    worst = std::max(worst, other.worst);
    squares += other.squares;
    largest = std::max(largest, other.largest);
    count += other.count;
    finite = finite && other.finite;
  }
  double mean() const { return std::sqrt(squares / static_cast<double>(count)); }
};

constexpr std::int64_t kPromptRows = 400;  // of a pass: a long prompt takes several

// A prompt, then `steps` tokens that the device draws and both read.
inline Distance compare(const engine::Weights& weights, engine::Activations activations, const Tokens& prompt,
                        int steps, std::int32_t slots) {
  const engine::cuda::DeviceWeights on_device = engine::cuda::upload(weights);
  engine::cuda::DecoderOptions options;
  options.slots = slots;
  options.prompt_rows = kPromptRows;
  options.nvfp4_activations = activations == engine::Activations::kNvfp4;
  engine::cuda::Decoder decoder(on_device, boundaries(weights.config), options);
  engine::Model model(weights, 1, activations);
  engine::KvCache cache(weights.config, weights.config.max_positions);
  const std::int32_t slot = slots - 1;
  decoder.begin(slot, prompt, sampled(3));
  Distance distance;
  distance.add(decoder.logits(slot), model.prefill(prompt, cache));
  for (int i = 0; i < steps; ++i) {
    const std::int32_t token = decoder.wait(decoder.step(), slot).token;
    std::vector<float> expected(static_cast<std::size_t>(weights.config.vocab_size));
    model.forward({{token, &cache, expected.data()}});
    distance.add(decoder.logits(slot), expected);
  }
  return distance;
}

// bfloat16 activations against float32: eight bits in every input of every layer, and in the residual stream.
constexpr double kWorst = 0x1p-5;
constexpr double kMean = 0x1p-8;

inline void check_bound(const Distance& distance, double worst, double mean) {
  CAPTURE(distance.worst, distance.mean(), distance.largest);
  std::printf("  logits: worst %.4f, root mean square %.5f, largest %.2f\n", distance.worst, distance.mean(),
              distance.largest);
  CHECK(distance.finite);
  CHECK(distance.largest > 1.0);
  CHECK(distance.worst <= worst * distance.largest);
  CHECK(distance.mean() <= mean * distance.largest);
}

inline Tokens long_prompt(std::int32_t first) {
  Tokens prompt;
  for (std::int32_t i = 0; i < 1100; ++i) prompt.push_back((first + i * 7 + i / 50) % 50);
  return prompt;
}

// Eight query heads of 128 to a key-value head, and room for a long text.
inline SmallDecoder large_heads() {
  SmallDecoder decoder;
  decoder.stored = Stored::kModelOpt;
  decoder.heads = 16;
  decoder.qwen3_head_dim = 128;
  decoder.positions = 1500;
  return decoder;
}

// The beginnings of those texts, each with another last token.
inline std::vector<Tokens> many_prompts(std::size_t count) {
  std::vector<Tokens> prompts;
  const std::vector<Tokens> golden = golden_prompts();
  for (std::size_t i = 0; i < count; ++i) {
    const Tokens& whole = golden[i % golden.size()];
    const std::size_t length = std::min(whole.size(), 4 + i % 29);
    prompts.emplace_back(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    prompts.back().back() = static_cast<std::int32_t>(17 + i % 10);  // a digit
  }
  return prompts;
}

}  // namespace testing
