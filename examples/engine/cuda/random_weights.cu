// Weights for timing: the shapes, sizes and magnitudes of a model, and nothing that it has learnt.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include <reset/status.hpp>

#include "device_weights.hpp"
#include "launch.cuh"

namespace engine::cuda {
namespace {

// A bijection of 32 bits that mixes well.
__device__ std::uint32_t mix(std::uint32_t x) {
  x = (x ^ x >> 16) * 0x7feb352du;
  x = (x ^ x >> 15) * 0x846ca68bu;
  return x ^ x >> 16;
}

__global__ void fill_bytes_kernel(std::uint8_t* data, std::size_t count, std::uint8_t first, std::uint8_t values,
                                  std::uint32_t seed) {
  const std::size_t stride = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
    const std::uint32_t random = mix(static_cast<std::uint32_t>(i) + seed * 0x9e3779b9u);
    data[i] = static_cast<std::uint8_t>(values == 0 ? random : first + random % values);
  }
}

// Uniform in (-range, range).
__global__ void fill_bf16_kernel(__nv_bfloat16* data, std::size_t count, float range, std::uint32_t seed) {
  const std::size_t stride = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
    const std::uint32_t random = mix(static_cast<std::uint32_t>(i) + seed * 0x9e3779b9u);
    data[i] = __float2bfloat16(range * (static_cast<float>(random >> 8) * 0x1p-23f - 1.0f));
  }
}

constexpr unsigned kCtas = 1024;
constexpr unsigned kThreads = 256;

class Maker {
 public:
  Maker(DeviceWeights& weights, WeightForm form) : weights_(weights), form_(form) {}

  const __nv_bfloat16* dense(std::int64_t count, float range) {
    auto* data = static_cast<__nv_bfloat16*>(room(static_cast<std::size_t>(count) * 2));
    fill_random(data, static_cast<std::size_t>(count), range, seed_++, Stream{});
    return data;
  }

  // Outputs of about the size of the inputs, whatever K is.
  DeviceLinear linear(std::int64_t rows, std::int64_t cols, WeightForm form) {
    DeviceLinear linear;
    linear.rows = rows;
    linear.cols = cols;
    const float range = 1.0f / std::sqrt(static_cast<float>(cols));
    if (form == WeightForm::kBf16) {
      linear.dense = dense(rows * cols, range);
      return linear;
    }
    constexpr std::uint8_t kOne = 0x38;  // the E4M3 code of 1; the seven after it are 1.125 .. 1.875
    constexpr float kCodeRange = 7.0f;   // a uniform distribution of about the spread of random codes and scales
    linear.nvfp4.packed = bytes(rows * cols / 2, 0, 0);
    linear.nvfp4.rows = rows;
    linear.nvfp4.cols = cols;
    linear.nvfp4.row_stride = cols / 2;
    linear.nvfp4.block_scale = {bytes(rows * cols / 16, kOne, 8), reset::ScaleLayout::kLinear, cols / 16, 0, 0};
    linear.nvfp4.global = reset::FusedGlobalScales::uniform({range / kCodeRange});
    linear.input_scale = 0x1p-8f;
    return linear;
  }

  DeviceLayer layer(const ModelConfig& c) {
    const std::int64_t queries = c.heads * c.head_dim;
    DeviceLayer layer;
    layer.input_norm = dense(c.hidden_size, 1.0f);
    layer.output_norm = dense(c.hidden_size, 1.0f);
    const std::int64_t qkv_rows = queries + 2 * c.kv_heads * c.head_dim;
    if (c.architecture == Architecture::kQwen2) {
      layer.qkv_bias = dense(qkv_rows, 1.0f);
    } else {
      layer.query_norm = dense(c.head_dim, 1.0f);
      layer.key_norm = dense(c.head_dim, 1.0f);
    }
    layer.qkv = linear(qkv_rows, c.hidden_size, form_);
    layer.output = linear(c.hidden_size, queries, form_);
    layer.gate_up = linear(2 * c.intermediate_size, c.hidden_size, form_);
    layer.down = linear(c.hidden_size, c.intermediate_size, form_);
    return layer;
  }

 private:
  std::uint8_t* bytes(std::int64_t count, std::uint8_t first, std::uint8_t values) {
    auto* data = static_cast<std::uint8_t*>(room(static_cast<std::size_t>(count)));
    launch(fill_bytes_kernel, dim3(kCtas), dim3(kThreads), 0, Stream{}, data, static_cast<std::size_t>(count), first,
           values, seed_++);
    return data;
  }

  void* room(std::size_t bytes) {
    weights_.storage.emplace_back(bytes);
    return weights_.storage.back().data();
  }

  DeviceWeights& weights_;
  WeightForm form_;
  std::uint32_t seed_ = 1;
};

}  // namespace

void fill_random(__nv_bfloat16* data, std::size_t count, float range, std::uint32_t seed, const Stream& stream) {
  launch(fill_bf16_kernel, dim3(kCtas), dim3(kThreads), 0, stream, data, count, range, seed);
}

DeviceWeights random_weights(const ModelConfig& config, WeightForm form, bool nvfp4_head, std::size_t most_bytes) {
  DeviceWeights weights;
  weights.config = config;
  Maker maker(weights, form);
  weights.embedding = maker.dense(config.vocab_size * config.hidden_size, 1.0f);
  weights.final_norm = maker.dense(config.hidden_size, 1.0f);
  weights.head =
      maker.linear(config.vocab_size, config.hidden_size, nvfp4_head ? WeightForm::kNvfp4 : WeightForm::kBf16);
  std::size_t distinct = 0;
  std::size_t bytes = 0;
  for (std::int64_t index = 0; index < config.layers; ++index) {
    if (bytes > most_bytes) {
      weights.layers.push_back(weights.layers[static_cast<std::size_t>(index) % distinct]);
      continue;
    }
    const std::size_t first = weights.storage.size();
    weights.layers.push_back(maker.layer(config));
    distinct = weights.layers.size();
    for (std::size_t i = first; i < weights.storage.size(); ++i) bytes += weights.storage[i].bytes();
  }
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  return weights;
}

namespace {

struct Published {
  const char* name;
  Architecture architecture;
  std::int64_t hidden_size;
  std::int64_t intermediate_size;
  std::int64_t layers;
  std::int64_t heads;
  std::int64_t kv_heads;
  std::int64_t vocab_size;
};

constexpr Published kPublished[] = {
    {"qwen3-8b", Architecture::kQwen3, 4096, 12288, 36, 32, 8, 151936},
    {"qwen3-14b", Architecture::kQwen3, 5120, 17408, 40, 40, 8, 151936},
    {"qwen3-32b", Architecture::kQwen3, 5120, 25600, 64, 64, 8, 151936},
    {"r1-distill-qwen-7b", Architecture::kQwen2, 3584, 18944, 28, 28, 4, 152064},
    {"r1-distill-qwen-14b", Architecture::kQwen2, 5120, 13824, 48, 40, 8, 152064},
};

}  // namespace

ModelConfig published_config(const std::string& name) {
  std::string names;
  for (const Published& model : kPublished) {
    names += (names.empty() ? "" : ", ") + std::string(model.name);
    if (name != model.name) continue;
    ModelConfig config;
    config.architecture = model.architecture;
    config.hidden_size = model.hidden_size;
    config.intermediate_size = model.intermediate_size;
    config.layers = model.layers;
    config.heads = model.heads;
    config.kv_heads = model.kv_heads;
    config.head_dim = 128;
    config.vocab_size = model.vocab_size;
    config.max_positions = 40960;
    config.rope_theta = 1e6f;
    config.rms_norm_eps = 1e-6f;
    config.eos_tokens = {151645, 151643};
    return config;
  }
  throw reset::Error("model " + name + ": no shapes of that name, expected one of " + names);
}

}  // namespace engine::cuda
