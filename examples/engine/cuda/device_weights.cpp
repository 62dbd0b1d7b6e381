#include "device_weights.hpp"

#include <algorithm>
#include <cstring>

#include <reset/status.hpp>

namespace engine::cuda {
namespace {

// Puts tensors of a checkpoint into device memory that `weights` owns.
class Uploader {
 public:
  Uploader(const reset::Checkpoint& checkpoint, DeviceWeights& weights) : checkpoint_(checkpoint), weights_(weights) {}

  // The tensors one after another, in bfloat16.
  const __nv_bfloat16* dense(const std::vector<std::string>& names) {
    std::vector<__nv_bfloat16> values;
    for (const std::string& name : names) append(checkpoint_.tensor(name), values);
    return static_cast<const __nv_bfloat16*>(store(values.data(), values.size() * sizeof values[0]));
  }

  // Modules that read the same input, as one matrix of `cols` columns.
  DeviceLinear linear(const std::vector<std::string>& modules, std::int64_t rows, std::int64_t cols) {
    DeviceLinear linear;
    linear.rows = rows;
    linear.cols = cols;
    const auto quantised = std::count_if(modules.begin(), modules.end(),
                                         [&](const std::string& module) { return checkpoint_.is_nvfp4(module); });
    if (quantised == static_cast<std::ptrdiff_t>(modules.size())) {
      take(checkpoint_.nvfp4_fused(modules), linear);
    } else if (quantised == 0) {
      std::vector<std::string> names;
      for (const std::string& module : modules) names.push_back(module + ".weight");
      linear.dense = dense(names);
    } else {
      throw reset::Error(modules.front() + ": quantised only together with some of the projections that share its " +
                         "input, expected all of them or none");
    }
    return linear;
  }

 private:
  static void append(const reset::TensorView& tensor, std::vector<__nv_bfloat16>& values) {
    const std::size_t before = values.size();
    const auto count = static_cast<std::size_t>(tensor.size());
    values.resize(before + count);
    if (tensor.dtype == reset::DType::kBF16) {
      std::memcpy(values.data() + before, tensor.data, tensor.bytes);
      return;
    }
    std::vector<float> floats(count);
    reset::read_floats(tensor, 0, tensor.size(), floats.data());
    std::transform(floats.begin(), floats.end(), values.begin() + static_cast<std::ptrdiff_t>(before),
                   [](float x) { return __float2bfloat16(x); });
  }

  const void* store(const void* data, std::size_t bytes) {
    DeviceBuffer<std::uint8_t> buffer(bytes);
    check(cudaMemcpy(buffer.data(), data, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
    weights_.storage.push_back(std::move(buffer));
    return weights_.storage.back().data();
  }

  // The checkpoint's bytes as they are; the view keeps its layout and its global scales.
  void take(const reset::Nvfp4Weight& weight, DeviceLinear& linear) {
    linear.nvfp4 = weight.view();
    const auto rows = static_cast<std::size_t>(linear.rows);
    const std::size_t packed = rows * static_cast<std::size_t>(linear.nvfp4.row_stride);
    const std::size_t scales = rows * static_cast<std::size_t>(linear.nvfp4.block_scale.stride);
    linear.nvfp4.packed = static_cast<const std::uint8_t*>(store(linear.nvfp4.packed, packed));
    linear.nvfp4.block_scale.data = static_cast<const std::uint8_t*>(store(linear.nvfp4.block_scale.data, scales));
    for (const reset::GlobalScale scale : weight.input_scales()) {
      linear.input_scale = std::max(linear.input_scale, scale.value);  // what all of them can represent
    }
  }

  const reset::Checkpoint& checkpoint_;
  DeviceWeights& weights_;
};

DeviceLayer upload_layer(Uploader& uploader, const Weights& weights, std::size_t index) {
  const ModelConfig& config = weights.config;
  const std::string prefix = "model.layers." + std::to_string(index) + ".";
  const std::string attention = prefix + "self_attn.";
  const std::string mlp = prefix + "mlp.";
  const std::int64_t queries = config.heads * config.head_dim;
  const std::int64_t keys = config.kv_heads * config.head_dim;
  DeviceLayer layer;
  layer.input_norm = uploader.dense({prefix + "input_layernorm.weight"});
  layer.output_norm = uploader.dense({prefix + "post_attention_layernorm.weight"});
  if (weights.checkpoint.contains(attention + "q_norm.weight")) {
    layer.query_norm = uploader.dense({attention + "q_norm.weight"});
    layer.key_norm = uploader.dense({attention + "k_norm.weight"});
  }
  if (weights.checkpoint.contains(attention + "q_proj.bias")) {
    layer.qkv_bias = uploader.dense({attention + "q_proj.bias", attention + "k_proj.bias", attention + "v_proj.bias"});
  }
  layer.qkv = uploader.linear({attention + "q_proj", attention + "k_proj", attention + "v_proj"}, queries + 2 * keys,
                              config.hidden_size);
  layer.output = uploader.linear({attention + "o_proj"}, config.hidden_size, queries);
  layer.gate_up =
      uploader.linear({mlp + "gate_proj", mlp + "up_proj"}, 2 * config.intermediate_size, config.hidden_size);
  layer.down = uploader.linear({mlp + "down_proj"}, config.hidden_size, config.intermediate_size);
  return layer;
}

}  // namespace

std::int64_t DeviceWeights::bytes_per_step() const {
  std::int64_t bytes = head.bytes();
  for (const DeviceLayer& layer : layers) {
    for (const DeviceLinear* linear : layer.linears()) bytes += linear->bytes();
  }
  return bytes;
}

DeviceWeights upload(const Weights& weights) {
  DeviceWeights device;
  device.config = weights.config;
  Uploader uploader(weights.checkpoint, device);
  device.embedding = uploader.dense({"model.embed_tokens.weight"});
  for (std::size_t index = 0; index < weights.layers.size(); ++index) {
    device.layers.push_back(upload_layer(uploader, weights, index));
  }
  device.final_norm = uploader.dense({"model.norm.weight"});
  if (weights.config.tie_word_embeddings) {
    device.head.rows = weights.config.vocab_size;
    device.head.cols = weights.config.hidden_size;
    device.head.dense = device.embedding;
  } else {
    device.head = uploader.linear({"lm_head"}, weights.config.vocab_size, weights.config.hidden_size);
  }
  return device;
}

}  // namespace engine::cuda
