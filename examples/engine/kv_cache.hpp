// The keys and values of one sequence, so that a new token reads the past instead of computing it again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <reset/status.hpp>

#include "config.hpp"

namespace engine {

// float32, laid out [layer][kv head][position][head_dim]: what one head reads for one token lies in one piece.
class KvCache {
 public:
  // Room for `capacity` tokens, at most what the model was made for.
  KvCache(const ModelConfig& config, std::int64_t capacity)
      : capacity_(capacity), kv_heads_(config.kv_heads), head_dim_(config.head_dim) {
    if (capacity < 1 || capacity > config.max_positions) {
      throw reset::Error("KvCache: capacity is " + std::to_string(capacity) + ", expected 1.." +
                         std::to_string(config.max_positions) + " (max_position_embeddings)");
    }
    const auto floats = static_cast<std::size_t>(config.layers * kv_heads_ * capacity_ * head_dim_);
    keys_.resize(floats);
    values_.resize(floats);
  }

  std::int64_t capacity() const { return capacity_; }
  // Tokens held, which is also the position of the next one.
  std::int64_t length() const { return length_; }

  // The position of a new token; its keys and values are written through key() and value() afterwards.
  std::int64_t append() {
    if (length_ == capacity_) {
      throw reset::Error("KvCache: the sequence is " + std::to_string(length_ + 1) + " tokens long, expected at most " +
                         std::to_string(capacity_));
    }
    return length_++;
  }

  // Forgets every token, or all after the first `length`.
  void truncate(std::int64_t length) {
    if (length < 0 || length > length_) {
      throw reset::Error("KvCache: truncated to " + std::to_string(length) + " tokens, expected 0.." +
                         std::to_string(length_));
    }
    length_ = length;
  }

  float* key(std::int64_t layer, std::int64_t head, std::int64_t position) {
    return keys_.data() + offset(layer, head, position);
  }
  float* value(std::int64_t layer, std::int64_t head, std::int64_t position) {
    return values_.data() + offset(layer, head, position);
  }

 private:
  std::int64_t offset(std::int64_t layer, std::int64_t head, std::int64_t position) const {
    return ((layer * kv_heads_ + head) * capacity_ + position) * head_dim_;
  }

  std::int64_t capacity_;
  std::int64_t kv_heads_;
  std::int64_t head_dim_;
  std::int64_t length_ = 0;
  std::vector<float> keys_;
  std::vector<float> values_;
};

}  // namespace engine
