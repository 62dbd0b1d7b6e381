// One forward pass of a Qwen2 or Qwen3 decoder on the CPU: weights as the checkpoint stores them, float32
// activations. Read it with model.cpp beside it, top to bottom; the weights are in weights.hpp, the past of a sequence
// in kv_cache.hpp, the linear layers (where NVFP4 is) in linear.hpp.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "activations.hpp"
#include "kv_cache.hpp"
#include "weights.hpp"
#include "worker_pool.hpp"

namespace engine {

// One token of one sequence. Rows of one call may belong to different sequences, and those of one sequence follow each
// other: a prompt is up to kMaxRows rows on one cache, a batch of decode steps is one row on each cache.
struct Row {
  std::int32_t token = 0;
  KvCache* cache = nullptr;
  float* logits = nullptr;  // receives vocab_size floats; null where they are not wanted
};

class Model {
 public:
  static constexpr std::int64_t kMaxRows = 16;

  // `weights` must outlive the model; several models (one a thread) may share them. Throws reset::Error for NVFP4
  // activations of a checkpoint that has no input scales.
  explicit Model(const Weights& weights, int threads = 1, Activations activations = Activations::kFull);

  const ModelConfig& config() const { return config_; }

  // Appends every row's token to its cache and writes the logits asked for. Throws reset::Error for more than kMaxRows
  // rows, a token outside the vocabulary or a full cache; the caches are then as they were.
  void forward(const std::vector<Row>& rows);

  // Appends `tokens` in pieces of kMaxRows and returns the logits after the last.
  std::vector<float> prefill(const std::vector<std::int32_t>& tokens, KvCache& cache);

  // From now on the largest magnitude of every layer's input is kept there; null: no longer.
  void record_inputs(InputMaxima* maxima) { maxima_ = maxima; }

 private:
  void place(const std::vector<Row>& rows);
  void attention(const Layer& layer, std::int64_t index, const std::vector<Row>& rows);
  void attend(const Layer& layer, std::int64_t index, const Row& row, std::int64_t r, std::int64_t head, float* scores);
  void place_head(const std::vector<float>& norm, std::int64_t r, float* x) const;
  void store(const Layer& layer, std::int64_t index, const Row& row, std::int64_t r);
  void feed_forward(const Layer& layer);
  void head(const std::vector<Row>& rows);
  void take_input(std::initializer_list<const Linear*> layers, const std::vector<float>& x, std::int64_t cols);
  void multiply(const Linear& linear, const std::vector<float>& x, std::vector<float>& y, int part) const;

  const Weights& weights_;
  const ModelConfig& config_;
  Activations activations_;
  InputMaxima* maxima_ = nullptr;
  WorkerPool pool_;
  std::int64_t count_ = 0;                            // rows of the call
  std::vector<std::int64_t> positions_;               // of each row in its sequence
  std::vector<float> frequencies_;                    // [head_dim / 2]
  std::vector<float> cosines_, sines_;                // [row][head_dim / 2]
  std::vector<float> hidden_, normed_, out_;          // [row][hidden_size]
  std::vector<float> query_, context_, keys_, vals_;  // [row][heads * head_dim]
  std::vector<float> gate_, up_;                      // [row][intermediate_size]
  std::vector<float> rounded_;                        // [row][inputs], the input of the next layers in NVFP4
  std::vector<float> logits_;                         // [row][vocab_size]
  std::vector<float> scores_;                         // [part][max_positions]
};

}  // namespace engine
