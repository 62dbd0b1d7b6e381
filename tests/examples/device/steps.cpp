// Decode steps: captured and launched kernel by kernel, with a pinned cut and in several decoders.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "examples/device/demo_scales.hpp"
#include "examples/device/fixture.hpp"

using engine::cuda::Decoder;
using engine::cuda::DecoderOptions;
using namespace testing;

namespace {

// The tokens of every prompt, as many at a time as the decoder has slots.
std::vector<Tokens> decode(Decoder& decoder, std::int32_t slots, const std::vector<Tokens>& prompts, int steps) {
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

DecoderOptions options_of(std::int32_t slots, bool nvfp4_activations, bool pinned) {
  DecoderOptions options;
  options.slots = slots;
  options.nvfp4_activations = nvfp4_activations;
  options.pinned = pinned;
  return options;
}

// The demonstration's model in every form that the engine decodes.
struct Form {
  const char* name;
  bool nvfp4_activations;
  engine::Weights weights;
};

std::vector<Form> forms(const Scratch& folder) {
  std::vector<Form> all;
  all.push_back({"W4A16", false, engine::Weights(demo("nvfp4"))});
  all.push_back({"W4A4", true, demo_with_input_scales(folder)});
  all.push_back({"BF16", false, engine::Weights(demo("bf16"))});
  return all;
}

// Bits of the logits behind a prompt and after every step.
std::vector<std::vector<float>> logits_of(Decoder& decoder, std::int32_t slot, const Tokens& prompt, int steps) {
  std::vector<std::vector<float>> all;
  decoder.begin(slot, prompt, greedy());
  all.push_back(decoder.logits(slot));
  for (int step = 0; step < steps; ++step) {
    decoder.step();
    all.push_back(decoder.logits(slot));
  }
  return all;
}

bool same_bits(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
  });
}

}  // namespace

// By one decoder, which has timed its products once: another's may be others.
TEST_CASE("a captured step gives the tokens of one that is launched kernel by kernel", "[steps]") {
  const Scratch folder;
  for (const Form& form : forms(folder)) {
    const engine::cuda::DeviceWeights on_device = engine::cuda::upload(form.weights);
    for (std::int32_t slots = 1; slots <= at_most(Decoder::kMaxSlots, 3); ++slots) {
      CAPTURE(form.name, slots);
      const bool often = slots == 1 || slots == 4 || slots == 8 || slots == 16;
      const std::vector<Tokens> prompts = many_prompts(at_most<std::size_t>(often ? 200 : 32, 3));
      Decoder decoder(on_device, boundaries(form.weights.config), options_of(slots, form.nvfp4_activations, false));
      const std::vector<Tokens> eager = decode(decoder, slots, prompts, 24);
      decoder.capture();
      CHECK(decode(decoder, slots, prompts, 24) == eager);
    }
  }
}

TEST_CASE("with a pinned cut a sequence does not depend on how many there are", "[steps]") {
  const Scratch folder;
  const std::vector<Tokens> prompts = many_prompts(at_most<std::size_t>(48, 4));
  for (const Form& form : forms(folder)) {
    const engine::cuda::DeviceWeights on_device = engine::cuda::upload(form.weights);
    const auto tokens = [&](std::int32_t slots) {
      Decoder decoder(on_device, boundaries(form.weights.config), options_of(slots, form.nvfp4_activations, true));
      decoder.capture();
      return decode(decoder, slots, prompts, 32);
    };
    const std::vector<Tokens> alone = tokens(1);
    for (const std::int32_t slots : {3, 8, 16}) {
      CAPTURE(form.name, slots);
      CHECK(tokens(slots) == alone);
    }
  }
}

TEST_CASE("pinned decoders give the same bits, whatever their slots and whoever they were made beside", "[steps]") {
  const Scratch folder;
  const Tokens prompt = many_prompts(3).back();
  for (const Form& form : forms(folder)) {
    const engine::cuda::DeviceWeights on_device = engine::cuda::upload(form.weights);
    const auto make = [&](std::int32_t slots) {
      return std::make_unique<Decoder>(on_device, boundaries(form.weights.config),
                                       options_of(slots, form.nvfp4_activations, true));
    };
    const auto first = make(1);
    const auto expected = logits_of(*first, 0, prompt, 8);
    for (const std::int32_t slots : {1, 5, 16}) {
      CAPTURE(form.name, slots);
      const auto other = make(slots);
      CHECK(same_bits(logits_of(*other, slots - 1, prompt, 8), expected));
    }
  }
}
