// How a decoder comes to be: options, memory, tables, plans. What it does is in decoder.cpp.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include <reset/status.hpp>

#include "decoder.hpp"
#include "mat_vec.hpp"
#include "size_of.hpp"

namespace engine::cuda {
namespace {

constexpr int kPinnedSplits = 4;
constexpr std::int64_t kOctet = 8;          // the kernels of rows.hpp take whole ones
constexpr std::int64_t kSplitTokens = 128;  // attention gives no CTA fewer, if there are as many

}  // namespace

Decoder::Decoder(const DeviceWeights& weights, const reset::TokenSetTable& boundaries, const DecoderOptions& options)
    : weights_(weights), config_(weights.config), options_(options) {
  check_options();
  int ordinal = 0;
  check(cudaGetDevice(&ordinal), "cudaGetDevice");
  device_ = prepare_mat_vec(ordinal);
  check(cudaStreamCreate(owned_stream_.out()), "cudaStreamCreate");
  stream_ = {owned_stream_, device_.arch >= 90};
  prepare_attention(attention_);
  products_ = std::make_unique<Products>(stream_.handle);
  sampler_ =
      std::make_unique<Sampler>(boundaries, options_.slots, options_.columns, config_.vocab_size, stream_.handle);
  for (OwnedEvent& event : events_) {
    check(cudaEventCreateWithFlags(event.out(), cudaEventDisableTiming), "cudaEventCreateWithFlags");
  }
  make_room();
  make_rotations();
  // Pinned, products are cublasGemmEx's, which chooses by shape alone: what was fastest today may not be tomorrow.
  if (!options_.pinned) tune();
}

Decoder::~Decoder() { cudaStreamSynchronize(stream_.handle); }

void Decoder::check_slot_count(const char* name, std::int32_t slots) {
  if (slots >= 1 && slots <= kMaxSlots) return;
  throw reset::Error(std::string(name) + " is " + std::to_string(slots) + ", expected 1.." + std::to_string(kMaxSlots));
}

void Decoder::check_options() {
  check_slot_count("slots", options_.slots);
  if (options_.context == 0) options_.context = config_.max_positions;
  if (options_.context < 1 || options_.context > config_.max_positions) {
    throw reset::Error("context: " + std::to_string(options_.context) + " tokens, expected 1.." +
                       std::to_string(config_.max_positions) + " (max_position_embeddings)");
  }
  if (options_.columns == 0) options_.columns = static_cast<std::int32_t>(config_.vocab_size);
  attention_ = {static_cast<int>(config_.heads), static_cast<int>(config_.kv_heads), static_cast<int>(config_.head_dim),
                1};
  check_sizes();
  if (options_.nvfp4_activations) check_input_scales();
}

void Decoder::check_sizes() const {
  const std::pair<const char*, std::int64_t> sizes[] = {{"hidden_size", config_.hidden_size},
                                                        {"intermediate_size", config_.intermediate_size}};
  for (const auto& [name, size] : sizes) {
    if (size > 0 && size % kOctet == 0) continue;
    throw reset::Error(std::string(name) + ": " + std::to_string(size) + ", expected a multiple of " +
                       std::to_string(kOctet));
  }
  if (config_.hidden_size > kMaxNormColumns) {
    throw reset::Error("hidden_size: " + std::to_string(config_.hidden_size) + ", expected at most " +
                       std::to_string(kMaxNormColumns));
  }
  if (!attention_supports(attention_)) {
    throw reset::Error("attention of " + std::to_string(config_.heads) + " heads, " + std::to_string(config_.kv_heads) +
                       " of them key-value heads, of " + std::to_string(config_.head_dim) +
                       " values; expected up to 16 heads a key-value head, of 16, 32, 64 or 128 values");
  }
}

void Decoder::check_input_scales() const {
  bool any = weights_.head.is_nvfp4() && weights_.head.input_scale == 0;
  for (const DeviceLayer& layer : weights_.layers) {
    for (const DeviceLinear* linear : layer.linears()) {
      any = any || (linear->is_nvfp4() && linear->input_scale == 0);
    }
  }
  if (any) throw reset::Error("NVFP4 activations: a layer has no input scale, expected one for every NVFP4 layer");
}

void Decoder::make_room() {
  const ModelConfig& c = config_;
  const std::int64_t prompts = options_.context * (options_.pinned ? 1 : options_.slots);
  const std::int64_t prompt_rows = std::max<std::int64_t>(std::min(options_.prompt_rows, prompts), kMaxSlots);
  const std::int64_t queries = c.heads * c.head_dim;
  const std::int64_t keys = c.kv_heads * c.head_dim;
  const std::int64_t widest = std::max({c.hidden_size, queries, c.intermediate_size});
  const int spread = device_.sm_count / static_cast<int>(c.kv_heads * options_.slots);
  const auto useful = static_cast<int>((options_.context + kSplitTokens - 1) / kSplitTokens);
  attention_.splits = options_.pinned ? kPinnedSplits : std::clamp(spread, 1, std::min(useful, kMaxSplits));

  cache_ = DeviceBuffer<__nv_bfloat16>(size_of(c.layers * 2 * options_.slots * keys * options_.context));
  hidden_ = DeviceBuffer<__nv_bfloat16>(size_of(prompt_rows * c.hidden_size));
  ends_ = DeviceBuffer<__nv_bfloat16>(size_of(options_.slots * c.hidden_size));
  normed_ = DeviceBuffer<__nv_bfloat16>(size_of(prompt_rows * c.hidden_size));
  qkv_ = DeviceBuffer<__nv_bfloat16>(size_of(prompt_rows * (queries + 2 * keys)));
  context_ = DeviceBuffer<__nv_bfloat16>(size_of(prompt_rows * queries));
  gate_up_ = DeviceBuffer<__nv_bfloat16>(size_of(prompt_rows * 2 * c.intermediate_size));
  gated_ = DeviceBuffer<__nv_bfloat16>(size_of(prompt_rows * c.intermediate_size));
  codes_ = DeviceBuffer<std::uint8_t>(size_of(prompt_rows * widest / 2));
  scales_ = DeviceBuffer<std::uint8_t>(size_of(prompt_rows * widest / 16));
  std::int64_t largest = 0;
  for (const DeviceLayer& layer : weights_.layers) {
    for (const DeviceLinear* linear : layer.linears()) {
      if (linear->is_nvfp4()) largest = std::max(largest, linear->rows * linear->cols);
    }
  }
  wide_weights_ = DeviceBuffer<__nv_bfloat16>(size_of(largest));
  wide_input_ = DeviceBuffer<__nv_bfloat16>(size_of(prompt_rows * widest));
  const std::int64_t parts = std::max<std::int64_t>(prompt_rows, kMaxSlots * attention_.splits) * c.heads;
  parts_ = DeviceBuffer<float>(size_of(parts * c.head_dim));
  part_sums_ = DeviceBuffer<float2>(size_of(parts));
  logits_ = DeviceBuffer<float>(size_of(kMaxSlots * c.vocab_size));
  prompt_ = DeviceBuffer<std::int32_t>(size_of(prompt_rows));
  positions_ = DeviceBuffer<std::int32_t>(std::vector<std::int32_t>(size_of(options_.slots), -1));
  steps_ = DeviceBuffer<std::int32_t>(std::vector<std::int32_t>(size_of(options_.slots), 0));
  // Rows that no slot fills are computed all the same where a cut is pinned: with zeros.
  for (DeviceBuffer<__nv_bfloat16>* rows : {&hidden_, &normed_, &qkv_, &context_, &gate_up_, &gated_}) rows->clear();

  const std::size_t log_bytes = size_of(kLogDepth * options_.slots) * sizeof(reset::SampledToken);
  check(cudaHostAlloc(log_.out(), log_bytes, cudaHostAllocMapped), "cudaHostAlloc");
  rows_.log = static_cast<reset::SampledToken*>(static_cast<void*>(log_));
  rows_.positions = positions_.data();
  rows_.tokens = sampler_->tokens();
  rows_.results = sampler_->results();
  rows_.steps = steps_.data();
  rows_.log_depth = kLogDepth;
  rows_.slots = options_.slots;
  rows_.capacity = static_cast<std::int32_t>(options_.context);
}

// The same angles as on the CPU: a product and a function of floats.
void Decoder::make_rotations() {
  const std::int64_t half = config_.head_dim / 2;
  std::vector<float> frequencies;
  for (std::int64_t i = 0; i < half; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(config_.head_dim);
    frequencies.push_back(1.0F / std::pow(config_.rope_theta, exponent));
  }
  std::vector<float2> turns;
  for (std::int64_t position = 0; position < options_.context; ++position) {
    for (const float frequency : frequencies) {
      const float angle = static_cast<float>(position) * frequency;
      turns.push_back({std::cos(angle), std::sin(angle)});
    }
  }
  rotations_ = DeviceBuffer<float2>(turns);
}

// The plans of a step's products, timed on what the step will read.
void Decoder::tune() {
  tune(&DeviceLayer::qkv, false);
  tune(&DeviceLayer::output, true);
  tune(&DeviceLayer::gate_up, false);
  tune(&DeviceLayer::down, true);
  if (weights_.head.is_nvfp4()) return;
  const ProductShape shape = {weights_.head.rows, weights_.head.cols, product_rows(step_batch()), true, false};
  products_->tune(shape, {weights_.head.dense}, normed_.data(), logits_.data());
}

void Decoder::tune(DeviceLinear DeviceLayer::*member, bool accumulate) {
  const DeviceLinear& first = weights_.layers.front().*member;
  if (first.is_nvfp4()) return;
  std::vector<const __nv_bfloat16*> matrices;
  for (const DeviceLayer& layer : weights_.layers) matrices.push_back((layer.*member).dense);
  DeviceBuffer<__nv_bfloat16> x(size_of(kMaxSlots * first.cols));
  DeviceBuffer<__nv_bfloat16> y(size_of(kMaxSlots * first.rows));
  x.clear();
  y.clear();
  products_->tune({first.rows, first.cols, product_rows(step_batch()), false, accumulate}, matrices, x.data(),
                  y.data());
}

}  // namespace engine::cuda
