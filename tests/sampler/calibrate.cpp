#include <reset/sampler/calibrate.hpp>

#include <limits>
#include <string>

#include "sampler_support.hpp"
#include "support/catch.hpp"

using reset::tau0_from_entropies;

TEST_CASE("calibration: the 80th percentile is interpolated linearly between ranks") {
  CHECK(tau0_from_entropies({0.75f}) == 0.75f);
  CHECK(tau0_from_entropies({5.0f, 1.0f, 3.0f, 0.0f, 2.0f, 4.0f}) == 4.0f);  // rank 4 of 0..5
  // rank 0.8 * 3 = 2.4 of 0 1 2 4: 2 + 0.4 * 2
  CHECK(sampler_test::close(tau0_from_entropies({4.0f, 0.0f, 2.0f, 1.0f}), 2.8, 1e-6));
  CHECK(tau0_from_entropies({4.0f, 0.0f, 2.0f, 1.0f}, 0.0) == 0.0f);
  CHECK(tau0_from_entropies({4.0f, 0.0f, 2.0f, 1.0f}, 0.5) == 1.5f);
  CHECK(tau0_from_entropies({4.0f, 0.0f, 2.0f, 1.0f}, 1.0) == 4.0f);
  CHECK(tau0_from_entropies({1.0f, 1.0f, 1.0f, 1.0f, 9.0f}) == 2.6f);
}

TEST_CASE("calibration: a trace without usable entropies is an error") {
  CHECK_THROWS_AS(tau0_from_entropies({}), reset::Error);
  CHECK_THROWS_WITH(tau0_from_entropies({1.0f, std::numeric_limits<float>::quiet_NaN()}),
                    "invalid argument: entropies[1] is nan, expected finite and at least 0");
  CHECK_THROWS_AS(tau0_from_entropies({std::numeric_limits<float>::infinity()}), reset::Error);
  CHECK_THROWS_AS(tau0_from_entropies({-0.5f}), reset::Error);
  CHECK_THROWS_AS(tau0_from_entropies({0.5f}, 1.5), reset::Error);
}

TEST_CASE("calibration: the published presets are valid and carry the published figures") {
  CHECK(reset::kPublishedPresets.size() == 5);
  double tau0_sum = 0.0, t_low_sum = 0.0;
  for (const reset::PublishedPreset& preset : reset::kPublishedPresets) {
    CHECK(preset.params.validate().ok());
    CHECK(preset.params.t_high == 1.0f);
    CHECK(preset.params.window == 32);
    CHECK(preset.params.history == reset::HistoryMode::kExcludeCurrent);
    tau0_sum += static_cast<double>(preset.params.tau0);
    t_low_sum += static_cast<double>(preset.params.t_low);
  }
  CHECK(sampler_test::close(tau0_sum, 2.8665, 1e-6));
  CHECK(sampler_test::close(t_low_sum, 1.2, 1e-6));
  CHECK(std::string(reset::kPublishedPresets[2].model) == "Qwen3-8B");
  CHECK(reset::kPublishedPresets[2].params.tau0 == 0.5505f);
  CHECK(reset::kPublishedPresets[2].params.t_low == 0.1f);
}

TEST_CASE("calibration: a preset is found by what a model's name begins with") {
  static_assert(reset::find_published_preset("Qwen3-8B") == &reset::kPublishedPresets[2]);
  CHECK(reset::find_published_preset("Qwen3-8B-NVFP4") == &reset::kPublishedPresets[2]);
  CHECK(reset::find_published_preset("DeepSeek-R1-Distill-Qwen-14B") == &reset::kPublishedPresets[1]);
  CHECK(reset::find_published_preset("nvidia/Qwen3-8B-NVFP4") == &reset::kPublishedPresets[2]);
  CHECK(reset::find_published_preset("/models/Qwen3-32B") == &reset::kPublishedPresets[4]);
  CHECK(reset::find_published_preset("My-Qwen3-8B") == nullptr);
  CHECK(reset::find_published_preset("Qwen3-8B-Base") == nullptr);
  CHECK(reset::find_published_preset("Qwen/Qwen3-8B-Base-NVFP4") == nullptr);
  CHECK(reset::find_published_preset("qwen3-8b") == &reset::kPublishedPresets[2]);
  CHECK(reset::find_published_preset("qwen3-8b-base") == nullptr);
  CHECK(reset::find_published_preset("Qwen3-8") == nullptr);
  CHECK(reset::find_published_preset("") == nullptr);
}
