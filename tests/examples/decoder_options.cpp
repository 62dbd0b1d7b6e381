// What no decoder on a device can be, told before the device is asked for anything.
#include <cstdint>
#include <string>

#include <reset/status.hpp>

#include "decoder.hpp"
#include "support/catch.hpp"

using Catch::Matchers::Contains;
using engine::cuda::Decoder;
using engine::cuda::DecoderOptions;

namespace {

// The shapes of a small model, without its weights.
engine::ModelConfig small() {
  engine::ModelConfig config;
  config.hidden_size = 64;
  config.intermediate_size = 96;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 32;
  config.vocab_size = 50;
  config.max_positions = 40;
  return config;
}

void check_refused(const engine::ModelConfig& config, const DecoderOptions& options, const std::string& words) {
  engine::cuda::DeviceWeights weights;
  weights.config = config;
  const reset::TokenSetTable boundaries(50, {3});
  CHECK_THROWS_WITH(Decoder(weights, boundaries, options), Contains(words));
}

}  // namespace

TEST_CASE("options and sizes that no decoder has are refused in one sentence") {
  DecoderOptions options;
  for (const std::int32_t slots : {-1, 0, 17}) {
    options.slots = slots;
    check_refused(small(), options, "slots is " + std::to_string(slots) + ", expected 1..16");
  }
  options = {};
  options.context = 41;
  check_refused(small(), options, "context: 41 tokens, expected 1..40 (max_position_embeddings)");
  const auto refused = [](std::int64_t engine::ModelConfig::*size, std::int64_t value, const std::string& words) {
    engine::ModelConfig config = small();
    config.*size = value;
    check_refused(config, {}, words);
  };
  for (const std::int64_t size : {0, 4, 60, 65}) {
    const std::string words = std::to_string(size) + ", expected a multiple of 8";
    refused(&engine::ModelConfig::hidden_size, size, "hidden_size: " + words);
    refused(&engine::ModelConfig::intermediate_size, size, "intermediate_size: " + words);
  }
  refused(&engine::ModelConfig::hidden_size, 16392, "hidden_size: 16392, expected at most 16384");
  refused(&engine::ModelConfig::head_dim, 96, "of 96 values; expected up to 16 heads a key-value head");
  refused(&engine::ModelConfig::kv_heads, 3, "3 of them key-value heads");
}
