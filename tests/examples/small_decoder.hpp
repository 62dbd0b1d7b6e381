// Small decoders of random weights in the layouts that published checkpoints have.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <reset/io/safetensors_writer.hpp>
#include <reset/nvfp4/quantize.hpp>

#include "small_checkpoint.hpp"

namespace testing {

enum class Stored { kBf16, kModelOpt, kCompressedTensors };

struct SmallDecoder {
  std::string architecture = "qwen3";  // or "qwen2"
  Stored stored = Stored::kBf16;
  bool tied = false;
  float input_scale = 0;  // of every quantised layer; 0: none
  std::uint32_t seed = 1;
  std::int64_t heads = kHeads, kv_heads = kKvHeads, positions = 40;
  std::int64_t qwen3_head_dim = 32;
  bool nvfp4_head = false;

  static constexpr std::int64_t kHidden = 64, kHeads = 4, kKvHeads = 2, kIntermediate = 96, kLayers = 2, kVocab = 50;
  std::int64_t head_dim() const { return architecture == "qwen3" ? qwen3_head_dim : kHidden / heads; }

  // config.json with the keys that files of the architecture have.
  nlohmann::json config() const {
    nlohmann::json json = {{"model_type", architecture},
                           {"hidden_size", kHidden},
                           {"intermediate_size", kIntermediate},
                           {"num_hidden_layers", kLayers},
                           {"num_attention_heads", heads},
                           {"num_key_value_heads", kv_heads},
                           {"vocab_size", kVocab},
                           {"max_position_embeddings", positions},
                           {"max_window_layers", kLayers},
                           {"sliding_window", 4096},
                           {"use_sliding_window", false},
                           {"rms_norm_eps", 1e-6},
                           {"rope_theta", 1000000},
                           {"hidden_act", "silu"},
                           {"tie_word_embeddings", tied},
                           {"bos_token_id", 0},
                           {"eos_token_id", {1, 2}},
                           {"torch_dtype", "bfloat16"}};
    if (architecture == "qwen3") json.update({{"head_dim", head_dim()}, {"attention_bias", false}});
    if (stored == Stored::kModelOpt) {
      json["quantization_config"] = {{"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}, {"ignore", kept()}};
    } else if (stored == Stored::kCompressedTensors) {
      json["quantization_config"] = {
          {"quant_method", "compressed-tensors"}, {"format", "nvfp4-pack-quantized"}, {"ignore", kept()}};
    }
    return json;
  }

  // Modules that are not quantised.
  nlohmann::json kept() const { return nvfp4_head ? nlohmann::json::array() : nlohmann::json::array({"lm_head"}); }

  // Writes config.json, an index and two shards.
  void write(const std::filesystem::path& folder) const;
};

struct RawTensor {
  reset::TensorSpec spec;
  std::vector<std::uint8_t> bytes;
};

class SmallDecoderTensors {
 public:
  explicit SmallDecoderTensors(const SmallDecoder& decoder) : decoder_(decoder), generator_(decoder.seed) {
    const std::int64_t queries = decoder.heads * decoder.head_dim();
    const std::int64_t keys = decoder.kv_heads * decoder.head_dim();
    keep("model.embed_tokens.weight", {decoder.kVocab, decoder.kHidden}, 1.0F);
    for (std::int64_t i = 0; i < decoder.kLayers; ++i) {
      const std::string layer = "model.layers." + std::to_string(i) + ".";
      norm(layer + "input_layernorm.weight", decoder.kHidden);
      norm(layer + "post_attention_layernorm.weight", decoder.kHidden);
      if (decoder.architecture == "qwen3") {
        norm(layer + "self_attn.q_norm.weight", decoder.head_dim());
        norm(layer + "self_attn.k_norm.weight", decoder.head_dim());
      } else {
        keep(layer + "self_attn.q_proj.bias", {queries}, 1.0F);
        keep(layer + "self_attn.k_proj.bias", {keys}, 1.0F);
        keep(layer + "self_attn.v_proj.bias", {keys}, 1.0F);
      }
      linear(layer + "self_attn.q_proj", queries, decoder.kHidden);
      linear(layer + "self_attn.k_proj", keys, decoder.kHidden);
      linear(layer + "self_attn.v_proj", keys, decoder.kHidden);
      linear(layer + "self_attn.o_proj", decoder.kHidden, queries);
      linear(layer + "mlp.gate_proj", decoder.kIntermediate, decoder.kHidden);
      linear(layer + "mlp.up_proj", decoder.kIntermediate, decoder.kHidden);
      linear(layer + "mlp.down_proj", decoder.kHidden, decoder.kIntermediate);
    }
    norm("model.norm.weight", decoder.kHidden);
    if (decoder.tied) return;
    if (decoder.nvfp4_head) {
      linear("lm_head", decoder.kVocab, decoder.kHidden);
    } else {
      keep("lm_head.weight", {decoder.kVocab, decoder.kHidden}, 0.3F);
    }
  }

  const std::vector<RawTensor>& all() const { return tensors_; }

 private:
  // Normal values that BF16 holds exactly.
  std::vector<float> values(std::int64_t count, float mean, float deviation) {
    std::normal_distribution<float> normal(mean, deviation);
    std::vector<float> result(static_cast<std::size_t>(count));
    for (float& value : result) {
      value = normal(generator_);
      std::uint32_t bits;
      std::memcpy(&bits, &value, sizeof bits);
      bits &= 0xFFFF0000U;
      std::memcpy(&value, &bits, sizeof bits);
    }
    return result;
  }

  void add(const std::string& name, reset::DType dtype, std::vector<std::int64_t> shape,
           std::vector<std::uint8_t> bytes) {
    tensors_.push_back({{name, dtype, std::move(shape)}, std::move(bytes)});
  }

  void keep(const std::string& name, const std::vector<std::int64_t>& shape, float deviation, float mean = 0) {
    const std::int64_t count = shape.size() == 2 ? shape[0] * shape[1] : shape[0];
    add(name, reset::DType::kBF16, shape, encode(values(count, mean, deviation), reset::DType::kBF16));
  }

  void norm(const std::string& name, std::int64_t count) { keep(name, {count}, 0.2F, 1.0F); }

  void linear(const std::string& name, std::int64_t n, std::int64_t k) {
    const float deviation = 1.5F / std::sqrt(static_cast<float>(k));
    if (decoder_.stored == Stored::kBf16) return keep(name + ".weight", {n, k}, deviation);
    const bool modelopt = decoder_.stored == Stored::kModelOpt;
    const std::vector<float> weights = values(n * k, 0, deviation);
    const float wanted = reset::RoundToNearest().global_scale(reset::tensor_amax(weights.data(), n, k, k)).value;
    const float on_disk = modelopt ? wanted : 1.0F / wanted;
    std::vector<std::uint8_t> packed(static_cast<std::size_t>(n * k / 2));
    std::vector<std::uint8_t> scales(static_cast<std::size_t>(n * k / 16));
    reset::Nvfp4MutableMatrixView view;
    view.packed = packed.data();
    view.rows = n;
    view.cols = k;
    view.row_stride = k / 2;
    view.block_scale.data = scales.data();
    view.block_scale.stride = k / 16;
    view.global = reset::FusedGlobalScales::uniform({modelopt ? on_disk : 1.0F / on_disk});
    reset::quantize_rows(reset::RoundToNearest(), weights.data(), k, 0, n, nullptr, view);
    add(name + (modelopt ? ".weight" : ".weight_packed"), reset::DType::kU8, {n, k / 2}, packed);
    add(name + ".weight_scale", reset::DType::kF8E4M3, {n, k / 16}, scales);
    scalar(name + (modelopt ? ".weight_scale_2" : ".weight_global_scale"), on_disk);
    if (decoder_.input_scale <= 0) return;
    if (modelopt)
      scalar(name + ".input_scale", decoder_.input_scale);
    else
      scalar(name + ".input_global_scale", 1.0F / decoder_.input_scale);
  }

  void scalar(const std::string& name, float value) {
    std::vector<std::int64_t> shape;
    if (decoder_.stored == Stored::kCompressedTensors) shape.push_back(1);
    add(name, reset::DType::kF32, std::move(shape), encode({value}, reset::DType::kF32));
  }

  const SmallDecoder& decoder_;
  std::mt19937 generator_;
  std::vector<RawTensor> tensors_;
};

inline void SmallDecoder::write(const std::filesystem::path& folder) const {
  std::filesystem::create_directories(folder);
  write_text(folder / "config.json", config().dump());
  const SmallDecoderTensors tensors(*this);
  nlohmann::json index;
  const std::size_t half = tensors.all().size() / 2;
  for (const std::size_t first : {std::size_t{0}, half}) {
    const std::string file = first == 0 ? "model-00001-of-00002.safetensors" : "model-00002-of-00002.safetensors";
    const std::size_t last = first == 0 ? half : tensors.all().size();
    std::vector<reset::TensorSpec> specs;
    for (std::size_t i = first; i < last; ++i) specs.push_back(tensors.all()[i].spec);
    reset::SafetensorsWriter writer((folder / file).string(), specs);
    for (std::size_t i = first; i < last; ++i) {
      const RawTensor& tensor = tensors.all()[i];
      writer.append(tensor.spec.name, tensor.bytes.data(), tensor.bytes.size());
      index["weight_map"][tensor.spec.name] = file;
    }
    writer.finish();
  }
  write_text(folder / "model.safetensors.index.json", index.dump());
}

}  // namespace testing
