// What config.json says about a decoder of the Qwen2 or Qwen3 architecture, checked: a checkpoint that needs something
// this engine lacks is refused here, by name, and not found out by wrong text later.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace engine {

enum class Architecture {
  kQwen2,  // biases on the projections to queries, keys and values: R1-Distill-Qwen, too
  kQwen3,  // norms on the queries and keys of each head instead
};

struct ModelConfig {
  Architecture architecture = Architecture::kQwen3;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t vocab_size = 0;
  std::int64_t max_positions = 0;  // tokens of prompt and answer together
  float rope_theta = 0;
  float rms_norm_eps = 0;
  bool tie_word_embeddings = false;
  std::int32_t bos_token = -1;           // -1: none
  std::vector<std::int32_t> eos_tokens;  // any of these ends the text

  bool is_eos(std::int32_t token) const;
};

// Reads `directory`/config.json, and the end-of-text tokens of generation_config.json where that file exists. Throws
// reset::Error naming the file, the key, what was found and what is supported.
ModelConfig read_config(const std::filesystem::path& directory);

}  // namespace engine
