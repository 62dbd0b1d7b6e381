// The engine on the device against the one on the CPU: the same checkpoints, the same prompts.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <reset/detail/rounding.hpp>
#include <reset/status.hpp>

#include "cuda_generator.hpp"
#include "decoder.hpp"
#include "examples/device/need_gpu.hpp"
#include "examples/process.hpp"
#include "examples/small_decoder.hpp"
#include "model.hpp"
#include "support/catch.hpp"

using Catch::Matchers::Contains;
using engine::cuda::Decoder;
using engine::cuda::DecoderOptions;
using testing::need_gpu;
using testing::SmallDecoder;
using testing::Stored;

namespace {

using Tokens = std::vector<std::int32_t>;

std::string demo(const char* precision) { return std::string(RESET_REASONER_DIR "/model/") + precision; }

// The texts of the committed golden logits.
std::vector<Tokens> golden_prompts() {
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

reset::TokenSetTable boundaries(const engine::ModelConfig& config) {
  return reset::TokenSetTable(static_cast<std::int32_t>(config.vocab_size), {3}, {5});
}

reset::RequestParams greedy() {
  reset::RequestParams request;
  request.reset_enabled = false;
  request.sampling.temperature = 0;
  return request;
}

reset::RequestParams sampled(std::uint64_t seed) {
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
Distance compare(const engine::Weights& weights, engine::Activations activations, const Tokens& prompt, int steps,
                 std::int32_t slots) {
  const engine::cuda::DeviceWeights on_device = engine::cuda::upload(weights);
  DecoderOptions options;
  options.slots = slots;
  options.prompt_rows = kPromptRows;
  options.nvfp4_activations = activations == engine::Activations::kNvfp4;
  Decoder decoder(on_device, boundaries(weights.config), options);
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

void check_bound(const Distance& distance, double worst, double mean) {
  CAPTURE(distance.worst, distance.mean(), distance.largest);
  std::printf("  logits: worst %.4f, root mean square %.5f, largest %.2f\n", distance.worst, distance.mean(),
              distance.largest);
  CHECK(distance.finite);
  CHECK(distance.largest > 1.0);
  CHECK(distance.worst <= worst * distance.largest);
  CHECK(distance.mean() <= mean * distance.largest);
}

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

// bfloat16 activations against float32: eight bits in every input of every layer, and in the residual stream.
constexpr double kWorst = 0x1p-5;
constexpr double kMean = 0x1p-8;

TEST_CASE("small checkpoints of both architectures and conventions give the CPU's logits", "[gpu]") {
  need_gpu();
  for (const char* architecture : {"qwen3", "qwen2"}) {
    for (const Stored stored : {Stored::kBf16, Stored::kModelOpt, Stored::kCompressedTensors}) {
      CAPTURE(architecture, static_cast<int>(stored));
      const testing::Scratch folder;
      SmallDecoder decoder;
      decoder.architecture = architecture;
      decoder.stored = stored;
      decoder.tied = stored == Stored::kModelOpt;
      decoder.write(folder / "model");
      const engine::Weights weights(folder / "model");
      for (const std::int32_t slots : {1, 3, 16}) {
        const Distance distance =
            compare(weights, engine::Activations::kFull, {7, 1, 30, 12, 5, 9, 3, 3, 44, 20, 11}, 20, slots);
        check_bound(distance, kWorst, kMean);
      }
    }
  }
}

static Tokens long_prompt(std::int32_t first) {
  Tokens prompt;
  for (std::int32_t i = 0; i < 1100; ++i) prompt.push_back((first + i * 7 + i / 50) % 50);
  return prompt;
}

// Eight query heads of 128 to a key-value head, and room for a long text.
static SmallDecoder large_heads() {
  SmallDecoder decoder;
  decoder.stored = Stored::kModelOpt;
  decoder.heads = 16;
  decoder.qwen3_head_dim = 128;
  decoder.positions = 1500;
  return decoder;
}

// The shapes of the large models, on their way through everything that short texts do not reach: eight query heads of
// 128 to a key-value head, a prompt in three pieces, several tiles and several parts of attention, a quantised head.
TEST_CASE("a long text through large heads gives the CPU's logits", "[gpu]") {
  need_gpu();
  const testing::Scratch folder;
  SmallDecoder decoder = large_heads();
  decoder.nvfp4_head = true;
  decoder.write(folder / "model");
  const engine::Weights weights(folder / "model");
  for (const std::int32_t slots : {1, 3}) {
    check_bound(compare(weights, engine::Activations::kFull, long_prompt(0), 30, slots), kWorst, kMean);
  }
}

// In passes that end within prompts, in an order of their own. A row alone is further off than the mean of many, but as
// far as when its prompt is read by itself.
TEST_CASE("prompts that are read together give the logits of each alone, and the CPU's", "[gpu]") {
  need_gpu();
  const testing::Scratch folder;
  large_heads().write(folder / "model");
  const engine::Weights weights(folder / "model");
  const engine::cuda::DeviceWeights on_device = engine::cuda::upload(weights);
  DecoderOptions options;
  options.slots = 5;
  options.prompt_rows = kPromptRows;
  Decoder together(on_device, boundaries(weights.config), options);
  Decoder apart(on_device, boundaries(weights.config), options);
  engine::Model model(weights);
  std::vector<engine::Prompt> prompts;
  for (const std::int32_t slot : {3, 0, 1, 4}) prompts.push_back({slot, long_prompt(slot), greedy()});
  const std::size_t lengths[] = {350, 7, 900, 60};
  for (std::size_t i = 0; i < prompts.size(); ++i) prompts[i].tokens.resize(lengths[i]);
  together.begin(prompts);
  for (const engine::Prompt& prompt : prompts) {
    CAPTURE(prompt.slot);
    apart.begin(prompt.slot, prompt.tokens, prompt.request);
    engine::KvCache cache(weights.config, weights.config.max_positions);
    const std::vector<float> expected = model.prefill(prompt.tokens, cache);
    Distance from_cpu;
    Distance from_alone;
    from_cpu.add(together.logits(prompt.slot), expected);
    from_alone.add(together.logits(prompt.slot), apart.logits(prompt.slot));
    check_bound(from_cpu, kWorst, 4 * kMean);
    check_bound(from_alone, kWorst / 4, kMean / 4);
  }
  // From what all of them have cached, the next step.
  const std::int64_t step = together.step();
  REQUIRE(apart.step() == step);
  for (const engine::Prompt& prompt : prompts) {
    CAPTURE(prompt.slot);
    REQUIRE(together.wait(step, prompt.slot).token == apart.wait(step, prompt.slot).token);
    Distance distance;
    distance.add(together.logits(prompt.slot), apart.logits(prompt.slot));
    check_bound(distance, kWorst / 4, kMean / 4);
  }
}

TEST_CASE("twelve query heads to a key-value head give the CPU's logits", "[gpu]") {
  need_gpu();
  const testing::Scratch folder;
  SmallDecoder decoder = large_heads();
  decoder.heads = 12;
  decoder.kv_heads = 1;
  decoder.qwen3_head_dim = 64;
  decoder.write(folder / "model");
  const engine::Weights weights(folder / "model");
  check_bound(compare(weights, engine::Activations::kFull, long_prompt(5), 20, 2), kWorst, kMean);
}

static void check_noise(const Distance& apart, const Distance& noise) {
  CAPTURE(apart.mean(), noise.mean());
  std::printf("  NVFP4 activations: %.4f apart, %.4f of noise\n", apart.mean(), noise.mean());
  CHECK(apart.finite);
  CHECK(apart.mean() < 0.8 * noise.mean());
}

// A difference in the last bit of a value next to a tie becomes a whole step of E2M1, and the layers after it see
// another input: the engines agree in no fixed number of bits. But they agree better with each other than either with
// the same model without rounding; a wrong scale, or none, would not.
TEST_CASE("NVFP4 activations give the CPU's logits within the noise of rounding to NVFP4", "[gpu]") {
  need_gpu();
  for (const char* architecture : {"qwen3", "qwen2"}) {
    CAPTURE(architecture);
    const testing::Scratch folder;
    SmallDecoder decoder;
    decoder.architecture = architecture;
    decoder.stored = Stored::kModelOpt;
    decoder.input_scale = 0.003F;
    decoder.write(folder / "model");
    const engine::Weights weights(folder / "model");
    Distance apart;
    Distance noise;
    for (std::int32_t first = 3; first < 43; ++first) {
      const Tokens prompt = {7, 1, first, 12, 5, 9, 3, 3, 44, 20, 11};
      apart.add(compare(weights, engine::Activations::kNvfp4, prompt, 4, 3));
      engine::Model rounded(weights, 1, engine::Activations::kNvfp4);
      engine::Model full(weights);
      engine::KvCache cache(weights.config, 40);
      engine::KvCache other(weights.config, 40);
      noise.add(rounded.prefill(prompt, cache), full.prefill(prompt, other));
    }
    check_noise(apart, noise);
  }
}

// Several parts of attention, whose merge quantises.
TEST_CASE("NVFP4 activations of a long text give the CPU's logits within that noise, too", "[gpu]") {
  need_gpu();
  const testing::Scratch folder;
  SmallDecoder decoder = large_heads();
  decoder.input_scale = 0.003F;
  decoder.write(folder / "model");
  const engine::Weights weights(folder / "model");
  Distance apart;
  Distance noise;
  for (const std::int32_t first : {0, 11, 23, 37}) {
    apart.add(compare(weights, engine::Activations::kNvfp4, long_prompt(first), 20, 1 + first % 4));
    engine::Model rounded(weights, 1, engine::Activations::kNvfp4);
    engine::Model full(weights);
    engine::KvCache cache(weights.config, 1200);
    engine::KvCache other(weights.config, 1200);
    noise.add(rounded.prefill(long_prompt(first), cache), full.prefill(long_prompt(first), other));
    for (std::int32_t token = 3; token < 23; ++token) {
      std::vector<float> of_rounded(static_cast<std::size_t>(weights.config.vocab_size));
      std::vector<float> of_full(of_rounded.size());
      rounded.forward({{token, &cache, of_rounded.data()}});
      full.forward({{token, &other, of_full.data()}});
      noise.add(of_rounded, of_full);
    }
  }
  check_noise(apart, noise);
}

TEST_CASE("the demonstration's model gives the CPU's logits on golden prompts", "[gpu]") {
  need_gpu();
  for (const char* precision : {"bf16", "nvfp4"}) {
    const engine::Weights weights(demo(precision));
    for (const Tokens& prompt : golden_prompts()) {
      check_bound(compare(weights, engine::Activations::kFull, prompt, 40, 2), kWorst, kMean);
    }
  }
}

// The beginnings of those texts, each with another last token.
std::vector<Tokens> many_prompts(std::size_t count) {
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

// The tokens of every prompt, `slots` at a time, each step enqueued launch by launch or as a graph.
std::vector<Tokens> decode(const engine::cuda::DeviceWeights& weights, const std::vector<Tokens>& prompts,
                           std::int32_t slots, bool captured, bool pinned, int steps) {
  DecoderOptions options;
  options.slots = slots;
  options.pinned = pinned;
  Decoder decoder(weights, boundaries(weights.config), options);
  if (captured) decoder.capture();
  std::vector<Tokens> result(prompts.size());
  for (std::size_t first = 0; first < prompts.size(); first += static_cast<std::size_t>(slots)) {
    const std::size_t count = std::min(prompts.size() - first, static_cast<std::size_t>(slots));
    std::vector<engine::Prompt> together;
    for (std::size_t i = 0; i < count; ++i) {
      together.push_back({static_cast<std::int32_t>(i), prompts[first + i], greedy()});
    }
    decoder.begin(together);
    for (int step = 0; step < steps; ++step) {
      const std::int64_t number = decoder.step();
      for (std::size_t i = 0; i < count; ++i) {
        result[first + i].push_back(decoder.wait(number, static_cast<std::int32_t>(i)).token);
      }
    }
  }
  return result;
}

TEST_CASE("a captured step gives the tokens of one that is launched kernel by kernel", "[gpu]") {
  need_gpu();
  const engine::Weights weights(demo("nvfp4"));
  const engine::cuda::DeviceWeights on_device = engine::cuda::upload(weights);
  const std::vector<Tokens> prompts = many_prompts(200);
  for (const std::int32_t slots : {1, 4, 8, 16}) {
    CAPTURE(slots);
    const std::vector<Tokens> eager = decode(on_device, prompts, slots, false, false, 24);
    CHECK(decode(on_device, prompts, slots, true, false, 24) == eager);
  }
}

TEST_CASE("with a pinned cut a sequence does not depend on how many there are", "[gpu]") {
  need_gpu();
  for (const char* precision : {"nvfp4", "bf16"}) {
    const engine::Weights weights(demo(precision));
    const engine::cuda::DeviceWeights on_device = engine::cuda::upload(weights);
    const std::vector<Tokens> prompts = many_prompts(48);
    const std::vector<Tokens> alone = decode(on_device, prompts, 1, true, true, 32);
    for (const std::int32_t slots : {3, 8, 16}) {
      CAPTURE(precision, slots);
      CHECK(decode(on_device, prompts, slots, true, true, 32) == alone);
    }
  }
}

TEST_CASE("slots are used again, end early and refuse what cannot be", "[gpu]") {
  need_gpu();
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

TEST_CASE("32 thousand tokens take no more memory than one", "[gpu]") {
  need_gpu();
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
  options.context = 32768;
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
  CHECK(count == 32768 - 3 + 1);
  CHECK(sound);
  CHECK(before == after);
}

TEST_CASE("options that cannot be are refused in one sentence", "[gpu]") {
  need_gpu();
  const engine::Weights weights(demo("nvfp4"));
  const engine::cuda::DeviceWeights on_device = engine::cuda::upload(weights);
  const auto make = [&](std::int32_t slots, std::int64_t context, engine::Activations activations) {
    engine::GeneratorOptions options;
    options.slots = slots;
    options.context = context;
    options.activations = activations;
    return engine::cuda::make_cuda_generator(on_device, boundaries(weights.config), options);
  };
  CHECK_THROWS_WITH(make(0, 0, engine::Activations::kFull), Contains("slots is 0, expected 1..16"));
  CHECK_THROWS_WITH(make(17, 0, engine::Activations::kFull), Contains("slots is 17, expected 1..16"));
  CHECK_THROWS_WITH(make(1, 769, engine::Activations::kFull), Contains("context: 769 tokens, expected 1..768"));
  CHECK_THROWS_WITH(make(1, 0, engine::Activations::kNvfp4), Contains("no input scale"));
  DecoderOptions two;
  two.slots = 2;
  Decoder decoder(on_device, boundaries(weights.config), two);
  CHECK_THROWS_WITH(decoder.begin({{1, {4}, greedy()}, {1, {5}, greedy()}}), Contains("slot is 1, expected once"));
  CHECK_THROWS_WITH(decoder.end(2), Contains("slot is 2, expected 0..1"));
  CHECK_THROWS_WITH(decoder.place(0, 768), Contains("position is 768, expected -1..767"));
  CHECK_THROWS_WITH(decoder.wait(0, 0), Contains("step is 0"));
}
