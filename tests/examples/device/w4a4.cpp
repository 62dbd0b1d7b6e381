// NVFP4 activations: the engine on the device against the CPU's, which round the same way.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "examples/device/fixture.hpp"

using namespace testing;

// How far rounding takes the CPU's logits from those without: behind a prompt, and as many steps on.
static Distance noise_of(const engine::Weights& weights, const Tokens& prompt, int steps) {
  engine::Model rounded(weights, 1, engine::Activations::kNvfp4);
  engine::Model full(weights);
  const auto room = static_cast<std::int64_t>(prompt.size()) + steps;
  engine::KvCache cache(weights.config, room);
  engine::KvCache other(weights.config, room);
  std::vector<float> of_rounded = rounded.prefill(prompt, cache);
  std::vector<float> of_full = full.prefill(prompt, other);
  Distance noise;
  noise.add(of_rounded, of_full);
  for (int step = 0; step < steps; ++step) {
    const auto likeliest = std::max_element(of_rounded.begin(), of_rounded.end()) - of_rounded.begin();
    const auto token = static_cast<std::int32_t>(likeliest);
    rounded.forward({{token, &cache, of_rounded.data()}});
    full.forward({{token, &other, of_full.data()}});
    noise.add(of_rounded, of_full);
  }
  return noise;
}

static void check_noise(const Distance& apart, const Distance& noise) {
  CAPTURE(apart.mean(), noise.mean());
  std::printf("  NVFP4 activations: %.4f apart, %.4f of noise, ratio %.3f\n", apart.mean(), noise.mean(),
              apart.mean() / noise.mean());
  CHECK(apart.finite);
  CHECK(apart.mean() < 0.8 * noise.mean());
}

// A difference in the last bit of a value next to a tie becomes a whole step of E2M1, and the layers after it see
// another input: the engines agree in no fixed number of bits. But they agree better with each other than either with
// the same model without rounding; a wrong scale, or none, would not.
TEST_CASE("NVFP4 activations give the CPU's logits within the noise of rounding to NVFP4", "[w4a4]") {
  for (const char* architecture : {"qwen3", "qwen2"}) {
    CAPTURE(architecture);
    const Scratch folder;
    SmallDecoder decoder;
    decoder.architecture = architecture;
    decoder.stored = Stored::kModelOpt;
    decoder.input_scale = 0.003F;
    decoder.write(folder / "model");
    const engine::Weights weights(folder / "model");
    Distance apart;
    Distance noise;
    for (std::int32_t first = 3; first < at_most(43, 6); ++first) {
      const Tokens prompt = {7, 1, first, 12, 5, 9, 3, 3, 44, 20, 11};
      apart.add(compare(weights, engine::Activations::kNvfp4, prompt, 4, 3));
      noise.add(noise_of(weights, prompt, 4));
    }
    check_noise(apart, noise);
  }
}

// Several parts of attention, whose merge quantises.
TEST_CASE("NVFP4 activations of a long text give the CPU's logits within that noise, too", "[w4a4]") {
  const Scratch folder;
  SmallDecoder decoder = large_heads();
  decoder.input_scale = 0.003F;
  decoder.write(folder / "model");
  const engine::Weights weights(folder / "model");
  Distance apart;
  Distance noise;
  for (const std::int32_t first : {0, 11, 23, 37}) {
    apart.add(compare(weights, engine::Activations::kNvfp4, long_prompt(first), 20, 1 + first % 4));
    noise.add(noise_of(weights, long_prompt(first), 20));
  }
  check_noise(apart, noise);
}
