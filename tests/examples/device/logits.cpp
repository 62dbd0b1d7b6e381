// The engine's logits on the device against those of the CPU: the same checkpoints, the same prompts.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "examples/device/fixture.hpp"

using engine::cuda::Decoder;
using engine::cuda::DecoderOptions;
using namespace testing;

TEST_CASE("small checkpoints of both architectures and conventions give the CPU's logits", "[logits]") {
  for (const char* architecture : {"qwen3", "qwen2"}) {
    for (const Stored stored : {Stored::kBf16, Stored::kModelOpt, Stored::kCompressedTensors}) {
      CAPTURE(architecture, static_cast<int>(stored));
      const Scratch folder;
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

// The shapes of the large models, on their way through everything that short texts do not reach: eight query heads of
// 128 to a key-value head, a prompt in three pieces, several tiles and several parts of attention, a quantised head.
TEST_CASE("a long text through large heads gives the CPU's logits", "[logits]") {
  const Scratch folder;
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
TEST_CASE("prompts that are read together give the logits of each alone, and the CPU's", "[logits]") {
  const Scratch folder;
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

TEST_CASE("twelve query heads to a key-value head give the CPU's logits", "[logits]") {
  const Scratch folder;
  SmallDecoder decoder = large_heads();
  decoder.heads = 12;
  decoder.kv_heads = 1;
  decoder.qwen3_head_dim = 64;
  decoder.write(folder / "model");
  const engine::Weights weights(folder / "model");
  check_bound(compare(weights, engine::Activations::kFull, long_prompt(5), 20, 2), kWorst, kMean);
}

TEST_CASE("the demonstration's model gives the CPU's logits on golden prompts", "[logits]") {
  for (const char* precision : {"bf16", "nvfp4"}) {
    const engine::Weights weights(demo(precision));
    for (const Tokens& prompt : golden_prompts()) {
      check_bound(compare(weights, engine::Activations::kFull, prompt, at_most(40, 4), 2), kWorst, kMean);
    }
  }
}
