// All weights of a model, read once and never changed: any number of threads may compute with them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include <reset/io/checkpoint.hpp>

#include "config.hpp"
#include "linear.hpp"

namespace engine {

// One decoder layer. Norms are short and become float32; the linear layers stay where the checkpoint has them.
struct Layer {
  std::vector<float> input_norm, output_norm;  // [hidden_size], before the attention and before the feed-forward part
  std::vector<float> query_norm, key_norm;     // [head_dim], of one head; empty where the architecture has none
  std::vector<float> query_bias, key_bias, value_bias;  // [rows of the layer]; empty where there are none
  Linear query, key, value, output;
  Linear gate, up, down;
};

struct Weights {
  // Reads config.json and the safetensors files of `directory`. Throws reset::Error for whatever does not fit together.
  explicit Weights(const std::filesystem::path& directory);

  ModelConfig config;
  reset::Checkpoint checkpoint;  // keeps the files mapped
  DenseMatrix embedding;         // [vocab_size, hidden_size]
  std::vector<Layer> layers;
  std::vector<float> final_norm;  // [hidden_size]
  Linear head;                    // [vocab_size, hidden_size], the embedding again if the config ties them

  // Decodes every linear layer to float32; the models that share the weights must not be in use.
  void unpack();

  // For display: how many weights the linear layers of the decoder hold, and whether any of them is NVFP4.
  std::int64_t parameters() const;
  bool has_nvfp4() const;

  // Throws reset::Error unless the model has NVFP4 layers, and each of them a scale for its input.
  void require_input_scales() const;

 private:
  std::vector<const Linear*> linears() const;
};

}  // namespace engine
