// The demonstration's model for NVFP4 activations: quantised with the scales of its golden prompts.
#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>
#include <reset/nvfp4/quantize.hpp>

#include "examples/device/fixture.hpp"
#include "quantize.hpp"

namespace testing {

inline engine::Weights demo_with_input_scales(const Scratch& folder) {
  const engine::Weights weights(demo("bf16"));
  engine::Model model(weights);
  engine::InputMaxima maxima;
  model.record_inputs(&maxima);
  for (const Tokens& prompt : golden_prompts()) {
    engine::KvCache cache(weights.config, weights.config.max_positions);
    model.prefill(prompt, cache);
  }
  nlohmann::json scales;
  for (const auto& [name, amax] : maxima) scales[name] = reset::RoundToNearest().global_scale(amax).value;
  write_text(folder / "scales.json", scales.dump());
  quantize::Options options;
  options.input = demo("bf16");
  options.output = folder / "w4a4";
  options.input_scales = folder / "scales.json";
  quantize::run(options);
  return engine::Weights(folder / "w4a4");
}

}  // namespace testing
