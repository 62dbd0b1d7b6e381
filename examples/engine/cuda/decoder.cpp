#include "decoder.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <reset/status.hpp>

#include "mat_vec.hpp"
#include "size_of.hpp"

namespace engine::cuda {

void Decoder::check_slot(std::int32_t slot) const {
  if (slot >= 0 && slot < options_.slots) return;
  throw reset::Error("slot is " + std::to_string(slot) + ", expected 0.." + std::to_string(options_.slots - 1));
}

void Decoder::check_prompts(const std::vector<Prompt>& prompts) const {
  check_slots(prompts, options_.slots);
  for (const Prompt& prompt : prompts) {
    const auto count = static_cast<std::int64_t>(prompt.tokens.size());
    if (count < 1 || count > options_.context) {
      throw reset::Error("prompt: " + std::to_string(count) + " tokens, expected 1.." +
                         std::to_string(options_.context));
    }
    for (const std::int32_t token : prompt.tokens) {
      if (token >= 0 && token < config_.vocab_size) continue;
      throw reset::Error("prompt: token is " + std::to_string(token) + ", expected 0.." +
                         std::to_string(config_.vocab_size - 1));
    }
    reset::throw_if_failed(prompt.request.validate(options_.columns));
  }
}

void Decoder::begin(const std::vector<Prompt>& prompts) {
  check_prompts(prompts);
  for (const Prompt& prompt : prompts) {
    reset::RequestParams request = prompt.request;
    request.first_position = static_cast<std::int64_t>(prompt.tokens.size());
    sampler_->add(prompt.slot, request);
  }
  if (!options_.pinned) return read(prompts);
  // The bits of a product depend on how many rows it has.
  for (const Prompt& prompt : prompts) read(std::vector<Prompt>{prompt});
}

// ---- Prompts: as many rows of them in a pass as there is room for.

void Decoder::read(const std::vector<Prompt>& prompts) {
  const auto room = static_cast<std::int64_t>(prompt_.size());
  Batch pass{0, true, {}};
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const auto count = static_cast<std::int64_t>(prompts[i].tokens.size());
    for (std::int64_t first = 0; first < count; first += pass.pieces.back().rows) {
      if (pass.rows == room) {
        read(pass);
        pass = {0, true, {}};
      }
      const std::int64_t rows = std::min(count - first, room - pass.rows);
      check(cudaMemcpyAsync(prompt_.data() + pass.rows, prompts[i].tokens.data() + first,
                            size_of(rows) * sizeof(std::int32_t), cudaMemcpyHostToDevice, stream_.handle),
            "cudaMemcpyAsync");
      pass.pieces.push_back(
          {prompts[i].slot, first, rows, first + rows == count ? static_cast<std::ptrdiff_t>(i) : -1});
      pass.rows += rows;
    }
  }
  if (pass.rows > 0) read(pass);
  sample_first(prompts);
}

void Decoder::read(const Batch& pass) {
  const std::int64_t cols = config_.hidden_size;
  embed_prompt(prompt_.data(), pass.rows, weights_.embedding, cols, hidden_.data(), stream_);
  forward(pass);
  const __nv_bfloat16* row = hidden_.data();
  for (const Piece& piece : pass.pieces) {
    row += piece.rows * cols;
    if (piece.ends < 0) continue;
    check(cudaMemcpyAsync(ends_.data() + piece.ends * cols, row - cols, size_of(cols) * sizeof(__nv_bfloat16),
                          cudaMemcpyDeviceToDevice, stream_.handle),
          "cudaMemcpyAsync");
  }
}

// Prompts of neighbouring slots have neighbouring rows of logits: they share a product and a launch.
void Decoder::sample_first(const std::vector<Prompt>& prompts) {
  for (std::size_t first = 0, end = 0; first < prompts.size(); first = end) {
    const std::int32_t slot = prompts[first].slot;
    for (end = first + 1; end < prompts.size(); ++end) {
      if (prompts[end].slot != prompts[end - 1].slot + 1) break;
    }
    const auto rows = static_cast<std::int32_t>(end - first);
    head({rows, true, {}}, ends_.data() + static_cast<std::int64_t>(first) * config_.hidden_size,
         logits_.data() + slot * config_.vocab_size);
    sampler_->sample(slot, rows, logits_.data(), stream_);
    for (std::size_t i = first; i < end; ++i) {
      place(prompts[i].slot, static_cast<std::int32_t>(prompts[i].tokens.size()) - 1);
    }
  }
}

void Decoder::end(std::int32_t slot) { place(slot, -1); }

void Decoder::place(std::int32_t slot, std::int32_t position) {
  check_slot(slot);
  if (position < -1 || position >= options_.context) {
    throw reset::Error("position is " + std::to_string(position) + ", expected -1.." +
                       std::to_string(options_.context - 1));
  }
  place_slot(rows_, slot, position, stream_);
}

void Decoder::capture() {
  OwnedGraph graph;
  auto executable = std::make_unique<OwnedGraphExec>();
  check(cudaStreamBeginCapture(stream_.handle, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  try {
    enqueue_step();
  } catch (...) {
    cudaStreamEndCapture(stream_.handle, graph.out());
    throw;
  }
  check(cudaStreamEndCapture(stream_.handle, graph.out()), "cudaStreamEndCapture");
  check(cudaGraphInstantiate(executable->out(), graph, 0), "cudaGraphInstantiate");
  graph_ = std::move(executable);
}

std::int64_t Decoder::step() {
  if (graph_ != nullptr) {
    check(cudaGraphLaunch(*graph_, stream_.handle), "cudaGraphLaunch");
  } else {
    enqueue_step();
  }
  check(cudaEventRecord(events_[size_of(step_count_ % kLogDepth)], stream_.handle), "cudaEventRecord");
  return step_count_++;
}

const reset::SampledToken& Decoder::wait(std::int64_t step, std::int32_t slot) const {
  check_slot(slot);
  if (step < 0 || step >= step_count_ || step < step_count_ - kLogDepth) {
    throw reset::Error("step is " + std::to_string(step) + ", expected one of the last " + std::to_string(kLogDepth) +
                       " of " + std::to_string(step_count_));
  }
  const std::int64_t entry = step % kLogDepth;
  check(cudaEventSynchronize(events_[size_of(entry)]), "cudaEventSynchronize");
  return rows_.log[entry * options_.slots + slot];
}

std::vector<float> Decoder::logits(std::int32_t slot) const {
  check_slot(slot);
  std::vector<float> values(size_of(config_.vocab_size));
  check(cudaStreamSynchronize(stream_.handle), "cudaStreamSynchronize");
  check(cudaMemcpy(values.data(), logits_.data() + slot * config_.vocab_size, values.size() * sizeof(float),
                   cudaMemcpyDeviceToHost),
        "cudaMemcpy");
  return values;
}

// The kernel does not wait for what is ahead of it, so it is no dependent launch.
void Decoder::fill_cache() { fill_random(cache_.data(), cache_.size(), 1.0F, 77, {stream_.handle, false}); }

std::int64_t Decoder::cache_bytes_per_token() const {
  return config_.layers * 2 * config_.kv_heads * config_.head_dim * 2;
}

// ---- One step, from the tokens that were drawn to the next ones.

void Decoder::enqueue_step() {
  const Batch batch = step_batch();
  embed_step(rows_, weights_.embedding, config_.hidden_size, hidden_.data(), stream_);
  forward(batch);
  head(batch, hidden_.data(), logits_.data());
  sampler_->sample(0, options_.slots, logits_.data(), stream_);
}

void Decoder::forward(const Batch& batch) {
  for (std::size_t index = 0; index < weights_.layers.size(); ++index) {
    attention(batch, index);
    feed_forward(batch, index);
  }
}

void Decoder::attention(const Batch& batch, std::size_t index) {
  const DeviceLayer& layer = weights_.layers[index];
  // The first one starts when all before it has ended: attention reads old positions and caches without a wait.
  const Stream first = {stream_.handle, stream_.dependent && index > 0};
  multiply(batch, layer.qkv, norm(hidden_.data(), layer.input_norm, layer.qkv, batch.rows, first), {}, qkv_.data(),
           false);
  AttentionCall call = attention_call(batch, index);
  const bool quantised_output = quantises(layer.output);
  if (call.shape.splits == 1 && !quantised_output) call.out = context_.data();  // one kernel less
  batch.prompt ? attend_prompts(batch, call) : attend(call, stream_);
  Input input;
  if (quantised_output) {
    input = quantised(layer.output, batch.rows);
    merge_quantize(call, input.nvfp4, stream_);
  } else {
    input.dense = context_.data();
    if (call.out == nullptr) merge(call, context_.data(), stream_);
  }
  // A block asks for its widest weights alone: others are soon there once their kernel has started.
  multiply(batch, layer.output, input, ahead(layer.gate_up), hidden_.data(), true);
}

void Decoder::feed_forward(const Batch& batch, std::size_t index) {
  const DeviceLayer& layer = weights_.layers[index];
  const Input normed = norm(hidden_.data(), layer.output_norm, layer.gate_up, batch.rows, stream_);
  multiply(batch, layer.down, gated(batch, layer, normed), {}, hidden_.data(), true);
}

// silu(gate) * up, as the last layer of the block reads it.
Decoder::Input Decoder::gated(const Batch& batch, const DeviceLayer& layer, const Input& normed) {
  Input input;
  input.dense = gated_.data();
  if (layer.gate_up.is_nvfp4() && !batch.prompt && !quantises(layer.down)) {
    reset::GemvProblem call = problem(layer.gate_up, normed, batch.rows);
    call.gate = reset::GemvGate::kGateUp;  // in the epilogue: one kernel less
    call.output = {gated_.data(), reset::OutputType::kBf16, config_.intermediate_size};
    mat_vec(call, cut_of(call), {}, device_, stream_);
    return input;
  }
  multiply(batch, layer.gate_up, normed, {}, gate_up_.data(), false);
  if (quantises(layer.down)) {
    input = quantised(layer.down, batch.rows);
    silu_mul_quantize(gate_up_.data(), 2 * config_.intermediate_size, input.nvfp4, stream_);
  } else {
    silu_mul(gate_up_.data(), batch.rows, config_.intermediate_size, gated_.data(), stream_);
  }
  return input;
}

void Decoder::head(const Batch& batch, const __nv_bfloat16* hidden, float* logits) {
  const Input input = norm(hidden, weights_.final_norm, weights_.head, batch.rows, stream_);
  if (weights_.head.is_nvfp4()) {
    reset::GemvProblem call = problem(weights_.head, input, batch.rows);
    call.output = {logits, reset::OutputType::kFp32, config_.vocab_size};
    mat_vec(call, cut_of(call), {}, device_, stream_);
    return;
  }
  const ProductShape shape = {weights_.head.rows, weights_.head.cols, product_rows(batch), true, false};
  products_->multiply(shape, weights_.head.dense, input.dense, logits);
}

Decoder::Input Decoder::norm(const __nv_bfloat16* x, const __nv_bfloat16* weight, const DeviceLinear& reader,
                             std::int64_t rows, const Stream& stream) {
  Input input;
  if (quantises(reader)) {
    input = quantised(reader, rows);
    rms_norm_quantize(x, config_.hidden_size, weight, config_.rms_norm_eps, input.nvfp4, stream);
  } else {
    input.dense = normed_.data();
    rms_norm(x, weight, config_.rms_norm_eps, rows, config_.hidden_size, normed_.data(), stream);
  }
  return input;
}

// Where the NVFP4 input of a layer goes: one after the other into the same memory.
Decoder::Input Decoder::quantised(const DeviceLinear& linear, std::int64_t rows) const {
  Input input;
  input.nvfp4.packed = codes_.data();
  input.nvfp4.rows = rows;
  input.nvfp4.cols = linear.cols;
  input.nvfp4.row_stride = linear.cols / 2;
  input.nvfp4.block_scale = {scales_.data(), reset::ScaleLayout::kLinear, linear.cols / 16, 0, 0};
  input.nvfp4.global = reset::FusedGlobalScales::uniform({linear.input_scale});
  return input;
}

void Decoder::multiply(const Batch& batch, const DeviceLinear& linear, const Input& input, const reset::Prefetch& next,
                       void* out, bool accumulate) {
  if (!linear.is_nvfp4()) {
    products_->multiply({linear.rows, linear.cols, product_rows(batch), false, accumulate}, linear.dense, input.dense,
                        out);
  } else if (batch.prompt) {
    multiply_dense(linear, input, batch.rows, out, accumulate);
  } else {
    reset::GemvProblem call = problem(linear, input, batch.rows);
    call.output = {out, reset::OutputType::kBf16, linear.rows};
    if (accumulate) call.residual = out;
    mat_vec(call, cut_of(call), next, device_, stream_);
  }
}

// A prompt's many rows: the same checkpoint memory, as the matrix product of cuBLAS wants it.
void Decoder::multiply_dense(const DeviceLinear& linear, const Input& input, std::int64_t rows, void* out,
                             bool accumulate) {
  dequantize(linear.nvfp4, wide_weights_.data(), stream_);
  const __nv_bfloat16* x = input.dense;
  if (input.is_nvfp4()) {
    dequantize(input.nvfp4, wide_input_.data(), stream_);
    x = wide_input_.data();
  }
  products_->multiply({linear.rows, linear.cols, rows, false, accumulate}, wide_weights_.data(), x, out);
}

reset::GemvProblem Decoder::problem(const DeviceLinear& linear, const Input& input, std::int64_t rows) const {
  reset::GemvProblem call;
  call.weights = linear.nvfp4;
  call.tokens = rows;
  if (input.is_nvfp4()) {
    call.activations.type = reset::ActivationType::kNvfp4;
    call.activations.nvfp4 = input.nvfp4;
  } else {
    call.activations.type = reset::ActivationType::kBf16;
    call.activations.dense = input.dense;
    call.activations.row_stride = linear.cols;
  }
  return call;
}

reset::Prefetch Decoder::ahead(const DeviceLinear& linear) const {
  reset::Prefetch prefetch;
  if (linear.is_nvfp4()) reset::throw_if_failed(prefetch.add(linear.nvfp4));
  return prefetch;
}

reset::GemvPolicy Decoder::cut_of(const reset::GemvProblem& call) const {
  const auto replaced = cuts_.find({call.weights.rows, call.weights.cols});
  if (replaced != cuts_.end()) return replaced->second;
  // The cut of the most tokens for any number of them: a token's bits do not depend on how many there are.
  if (options_.pinned) return reset::tensor_policy(device_, reset::kMaxGemvTokens, call.weights.cols);
  return reset::select_gemv_policy(device_, call);
}

void Decoder::set_cut(const DeviceLinear& shape, const reset::GemvPolicy& policy) {
  cuts_[{shape.rows, shape.cols}] = policy;
}

reset::GemvPolicy Decoder::selected_cut(const DeviceLinear& shape, bool gated) const {
  Input input;
  input.dense = normed_.data();
  if (quantises(shape)) input = quantised(shape, options_.slots);
  reset::GemvProblem call = problem(shape, input, options_.slots);
  if (gated) call.gate = reset::GemvGate::kGateUp;
  return reset::select_gemv_policy(device_, call);
}

AttentionCall Decoder::attention_call(const Batch& batch, std::size_t index) const {
  const DeviceLayer& layer = weights_.layers[index];
  const std::size_t side = size_of(options_.slots * config_.kv_heads * options_.context * config_.head_dim);
  AttentionCall call;
  call.shape = attention_;
  if (batch.prompt) call.shape.splits = 1;
  call.norms = {layer.qkv_bias, layer.query_norm, layer.key_norm, config_.rms_norm_eps, rotations_.data()};
  call.cache.keys = cache_.data() + 2 * index * side;
  call.cache.values = call.cache.keys + side;
  call.cache.capacity = options_.context;
  call.qkv = qkv_.data();
  call.positions = batch.prompt ? nullptr : positions_.data();
  call.rows = static_cast<int>(batch.rows);
  call.parts = parts_.data();
  call.part_sums = part_sums_.data();
  return call;
}

// Each piece by itself; the parts of all lie together, to be merged at once.
void Decoder::attend_prompts(const Batch& batch, const AttentionCall& call) {
  const AttentionShape& shape = call.shape;
  AttentionCall part = call;
  for (const Piece& piece : batch.pieces) {
    part.first_slot = piece.slot;
    part.first_position = static_cast<int>(piece.first_position);
    part.rows = static_cast<int>(piece.rows);
    store_prompt(part, stream_);
    attend(part, stream_);
    const std::int64_t heads = piece.rows * shape.heads;
    part.qkv += piece.rows * (shape.heads + 2 * shape.kv_heads) * shape.head_dim;
    part.parts += heads * shape.splits * shape.head_dim;
    part.part_sums += heads * shape.splits;
    if (part.out != nullptr) part.out += heads * shape.head_dim;
  }
}

// Where a cut is pinned all steps have as many rows as the largest.
std::int64_t Decoder::product_rows(const Batch& batch) const {
  return options_.pinned && !batch.prompt ? kMaxSlots : batch.rows;
}

}  // namespace engine::cuda
