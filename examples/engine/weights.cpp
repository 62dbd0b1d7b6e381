#include "weights.hpp"

#include <algorithm>
#include <string>

#include <reset/status.hpp>

namespace engine {
namespace {

std::vector<float> read_vector(const reset::Checkpoint& checkpoint, const std::string& name, std::int64_t size) {
  const reset::TensorView& tensor = checkpoint.tensor(name);
  if (tensor.shape.size() != 1 || tensor.shape[0] != size) {
    throw reset::Error(std::string(tensor.file) + ": " + name + " has " + std::to_string(tensor.shape.size()) +
                       " dimensions and " + std::to_string(tensor.size()) + " elements, expected [" +
                       std::to_string(size) + "]");
  }
  std::vector<float> values(static_cast<std::size_t>(size));
  reset::read_floats(tensor, 0, size, values.data());
  return values;
}

Layer read_layer(const reset::Checkpoint& checkpoint, const ModelConfig& config, std::int64_t index) {
  const std::string prefix = "model.layers." + std::to_string(index) + ".";
  const std::string attention = prefix + "self_attn.";
  const std::string mlp = prefix + "mlp.";
  const std::int64_t hidden = config.hidden_size;
  const std::int64_t queries = config.heads * config.head_dim;
  const std::int64_t keys = config.kv_heads * config.head_dim;
  Layer layer;
  layer.input_norm = read_vector(checkpoint, prefix + "input_layernorm.weight", hidden);
  layer.output_norm = read_vector(checkpoint, prefix + "post_attention_layernorm.weight", hidden);
  if (config.architecture == Architecture::kQwen3) {
    layer.query_norm = read_vector(checkpoint, attention + "q_norm.weight", config.head_dim);
    layer.key_norm = read_vector(checkpoint, attention + "k_norm.weight", config.head_dim);
  } else {
    layer.query_bias = read_vector(checkpoint, attention + "q_proj.bias", queries);
    layer.key_bias = read_vector(checkpoint, attention + "k_proj.bias", keys);
    layer.value_bias = read_vector(checkpoint, attention + "v_proj.bias", keys);
  }
  layer.query = Linear(checkpoint, attention + "q_proj", queries, hidden);
  layer.key = Linear(checkpoint, attention + "k_proj", keys, hidden);
  layer.value = Linear(checkpoint, attention + "v_proj", keys, hidden);
  layer.output = Linear(checkpoint, attention + "o_proj", hidden, queries);
  layer.gate = Linear(checkpoint, mlp + "gate_proj", config.intermediate_size, hidden);
  layer.up = Linear(checkpoint, mlp + "up_proj", config.intermediate_size, hidden);
  layer.down = Linear(checkpoint, mlp + "down_proj", hidden, config.intermediate_size);
  return layer;
}

}  // namespace

Weights::Weights(const std::filesystem::path& directory)
    : config(read_config(directory)), checkpoint(reset::Checkpoint::open(directory.string())) {
  embedding = DenseMatrix(checkpoint.tensor("model.embed_tokens.weight"), config.vocab_size, config.hidden_size);
  for (std::int64_t index = 0; index < config.layers; ++index) {
    layers.push_back(read_layer(checkpoint, config, index));
  }
  final_norm = read_vector(checkpoint, "model.norm.weight", config.hidden_size);
  head = config.tie_word_embeddings ? Linear(embedding)
                                    : Linear(checkpoint, "lm_head", config.vocab_size, config.hidden_size);
}

void Weights::unpack() {
  for (Layer& l : layers) {
    for (Linear* linear : {&l.query, &l.key, &l.value, &l.output, &l.gate, &l.up, &l.down}) linear->unpack();
  }
  head.unpack();
}

std::int64_t Weights::parameters() const {
  const std::int64_t attention = 2 * (config.heads + config.kv_heads) * config.head_dim * config.hidden_size;
  const std::int64_t mlp = 3 * config.intermediate_size * config.hidden_size;
  return config.layers * (attention + mlp);
}

std::vector<const Linear*> Weights::linears() const {
  std::vector<const Linear*> all;
  for (const Layer& layer : layers) {
    all.insert(all.end(), {&layer.query, &layer.key, &layer.value, &layer.output, &layer.gate, &layer.up, &layer.down});
  }
  all.push_back(&head);
  return all;
}

bool Weights::has_nvfp4() const {
  const std::vector<const Linear*> all = linears();
  return std::any_of(all.begin(), all.end(), [](const Linear* linear) { return linear->is_nvfp4(); });
}

void Weights::require_input_scales() const {
  if (!has_nvfp4()) {
    throw reset::Error("NVFP4 activations: no layer of the checkpoint is NVFP4, expected NVFP4 weights");
  }
  for (const Linear* linear : linears()) {
    if (!linear->is_nvfp4() || linear->input_scale()) continue;
    throw reset::Error("NVFP4 activations: " + linear->name() +
                       " has no input scale, expected a checkpoint that was calibrated for them");
  }
}

}  // namespace engine
