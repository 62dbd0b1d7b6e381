// A model's weights on the device: NVFP4 as the checkpoint has it, everything else in bfloat16.
#pragma once

#include <cuda_bf16.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <reset/nvfp4/matrix.hpp>

#include "config.hpp"
#include "device_buffer.hpp"
#include "stream.hpp"
#include "weights.hpp"

namespace engine::cuda {

// A matrix [rows, cols]: bfloat16, or NVFP4 where `dense` is null.
struct DeviceLinear {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  const __nv_bfloat16* dense = nullptr;
  reset::Nvfp4MatrixView nvfp4;
  float input_scale = 0;  // global scale of NVFP4 activations; 0: the checkpoint has none

  bool is_nvfp4() const { return dense == nullptr; }
  std::int64_t bytes() const { return is_nvfp4() ? rows * cols / 16 * 9 : rows * cols * 2; }
};

struct DeviceLayer {
  const __nv_bfloat16* input_norm = nullptr;
  const __nv_bfloat16* output_norm = nullptr;
  const __nv_bfloat16* query_norm = nullptr;  // null: the architecture has none
  const __nv_bfloat16* key_norm = nullptr;
  const __nv_bfloat16* qkv_bias = nullptr;
  DeviceLinear qkv, output, gate_up, down;  // projections that read the same input are one matrix

  std::array<const DeviceLinear*, 4> linears() const { return {&qkv, &output, &gate_up, &down}; }
};

struct DeviceWeights {
  ModelConfig config;
  const __nv_bfloat16* embedding = nullptr;
  std::vector<DeviceLayer> layers;
  const __nv_bfloat16* final_norm = nullptr;
  DeviceLinear head;
  std::vector<DeviceBuffer<std::uint8_t>> storage;

  // What a decode step reads of them, the embedding's rows aside.
  std::int64_t bytes_per_step() const;
};

// The weights of a checkpoint. Throws reset::Error for what does not fit the device.
DeviceWeights upload(const Weights& weights);

enum class WeightForm { kBf16, kNvfp4 };

// Weights of the right shapes that mean nothing, for timing. Layers repeat once `most_bytes` are taken: a matrix should
// come from memory when it is read, which a few gigabytes of distinct ones see to, and they are quickly filled.
DeviceWeights random_weights(const ModelConfig& config, WeightForm form, bool nvfp4_head,
                             std::size_t most_bytes = 8'000'000'000);

// `count` numbers between -range and range.
void fill_random(__nv_bfloat16* data, std::size_t count, float range, std::uint32_t seed, const Stream& stream);

// The shapes of a published model: "qwen3-8b", "qwen3-14b", "qwen3-32b", "r1-distill-qwen-7b", "r1-distill-qwen-14b";
// throws reset::Error for other names.
ModelConfig published_config(const std::string& name);

}  // namespace engine::cuda
