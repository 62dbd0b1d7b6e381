// One forward pass of a Qwen3-architecture decoder on the CPU: weights as the checkpoint stores them, float32
// activations. Read it with model.cpp beside it, top to bottom; the weights are in weights.hpp, the past of a sequence
// in kv_cache.hpp, the linear layers (where NVFP4 is) in linear.hpp.
#pragma once

#include <cstdint>
#include <vector>

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

  // `weights` must outlive the model; several models (one a thread) may share them.
  explicit Model(const Weights& weights, int threads = 1);

  const ModelConfig& config() const { return config_; }

  // Appends every row's token to its cache and writes the logits asked for. Throws reset::Error for more than kMaxRows
  // rows, a token outside the vocabulary or a full cache; the caches are then as they were.
  void forward(const std::vector<Row>& rows);

  // Appends `tokens` in pieces of kMaxRows and returns the logits after the last.
  std::vector<float> prefill(const std::vector<std::int32_t>& tokens, KvCache& cache);

 private:
  void place(const std::vector<Row>& rows);
  void attention(const Layer& layer, std::int64_t index, const std::vector<Row>& rows);
  void attend(const Layer& layer, std::int64_t index, const Row& row, std::int64_t r, std::int64_t head, float* scores);
  void store(const Layer& layer, std::int64_t index, const Row& row, std::int64_t r);
  void feed_forward(const Layer& layer);
  void head(const std::vector<Row>& rows);
  void multiply(const Linear& linear, const std::vector<float>& x, std::vector<float>& y, int part) const;

  const Weights& weights_;
  const ModelConfig& config_;
  WorkerPool pool_;
  std::int64_t count_ = 0;                            // rows of the call
  std::vector<std::int64_t> positions_;               // of each row in its sequence
  std::vector<float> frequencies_;                    // [head_dim / 2]
  std::vector<float> cosines_, sines_;                // [row][head_dim / 2]
  std::vector<float> hidden_, normed_, out_;          // [row][hidden_size]
  std::vector<float> query_, context_, keys_, vals_;  // [row][heads * head_dim]
  std::vector<float> gate_, up_;                      // [row][intermediate_size]
  std::vector<float> logits_;                         // [row][vocab_size]
  std::vector<float> scores_;                         // [part][max_positions]
};

}  // namespace engine
