#include "model.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include <reset/nvfp4/quantize.hpp>
#include <reset/status.hpp>

#include "math.hpp"
#include "size_of.hpp"

namespace engine {
namespace {

// The part of head `head` of a bias, if there is one.
void add_bias(const std::vector<float>& bias, std::int64_t head, std::int64_t dim, float* x) {
  if (!bias.empty()) add(x, bias.data() + head * dim, dim);
}

}  // namespace

Model::Model(const Weights& weights, int threads, Activations activations)
    : weights_(weights),
      config_(weights.config),
      activations_(activations),
      pool_(threads),
      positions_(size_of(kMaxRows)) {
  if (activations == Activations::kNvfp4) weights.require_input_scales();
  const ModelConfig& c = config_;
  const std::int64_t half = c.head_dim / 2;
  for (std::int64_t i = 0; i < half; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(c.head_dim);
    frequencies_.push_back(1.0F / std::pow(c.rope_theta, exponent));
  }
  for (auto* x : {&cosines_, &sines_}) x->resize(size_of(kMaxRows * half));
  for (auto* x : {&hidden_, &normed_, &out_}) x->resize(size_of(kMaxRows * c.hidden_size));
  for (auto* x : {&query_, &context_}) x->resize(size_of(kMaxRows * c.heads * c.head_dim));
  for (auto* x : {&keys_, &vals_}) x->resize(size_of(kMaxRows * c.kv_heads * c.head_dim));
  for (auto* x : {&gate_, &up_}) x->resize(size_of(kMaxRows * c.intermediate_size));
  if (activations == Activations::kNvfp4) {
    rounded_.resize(size_of(kMaxRows * std::max({c.hidden_size, c.heads * c.head_dim, c.intermediate_size})));
  }
  logits_.resize(size_of(kMaxRows * c.vocab_size));
  scores_.resize(size_of(pool_.parts() * c.max_positions));
}

void Model::forward(const std::vector<Row>& rows) {
  place(rows);
  for (std::int64_t r = 0; r < count_; ++r) {
    weights_.embedding.read_row(rows[size_of(r)].token, hidden_.data() + r * config_.hidden_size);
  }
  for (std::int64_t index = 0; index < config_.layers; ++index) {
    const Layer& layer = weights_.layers[size_of(index)];
    attention(layer, index, rows);
    feed_forward(layer);
  }
  head(rows);
}

std::vector<float> Model::prefill(const std::vector<std::int32_t>& tokens, KvCache& cache) {
  std::vector<float> logits(size_of(config_.vocab_size));
  std::vector<Row> rows;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool last = i + 1 == tokens.size();
    rows.push_back({tokens[i], &cache, last ? logits.data() : nullptr});
    if (!last && rows.size() < size_of(kMaxRows)) continue;
    forward(rows);
    rows.clear();
  }
  return logits;
}

// Checks the rows, then gives each its position and the rotations that belong to it.
void Model::place(const std::vector<Row>& rows) {
  count_ = static_cast<std::int64_t>(rows.size());
  if (count_ > kMaxRows) {
    throw reset::Error("Model::forward: " + std::to_string(count_) + " rows, expected at most " +
                       std::to_string(kMaxRows));
  }
  for (const Row& row : rows) {
    if (row.token >= 0 && row.token < config_.vocab_size) continue;
    throw reset::Error("Model::forward: token is " + std::to_string(row.token) + ", expected 0.." +
                       std::to_string(config_.vocab_size - 1));
  }
  std::int64_t placed = 0;
  try {
    for (; placed < count_; ++placed) positions_[size_of(placed)] = rows[size_of(placed)].cache->append();
  } catch (...) {
    while (placed-- > 0) rows[size_of(placed)].cache->truncate(positions_[size_of(placed)]);
    throw;
  }
  const auto half = static_cast<std::int64_t>(frequencies_.size());
  for (std::int64_t r = 0; r < count_; ++r) {
    for (std::int64_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(positions_[size_of(r)]) * frequencies_[size_of(i)];
      cosines_[size_of(r * half + i)] = std::cos(angle);
      sines_[size_of(r * half + i)] = std::sin(angle);
    }
  }
}

// What `layers` read next, `cols` values a row: noted where that is asked for, and rounded for those that are NVFP4.
void Model::take_input(std::initializer_list<const Linear*> layers, const std::vector<float>& x, std::int64_t cols) {
  if (maxima_ != nullptr) {
    const float amax = reset::tensor_amax(x.data(), count_, cols, cols);
    for (const Linear* layer : layers) {
      if (layer->name().empty()) continue;
      float& largest = (*maxima_)[layer->name()];
      largest = std::max(largest, amax);
    }
  }
  const auto is_nvfp4 = [](const Linear* layer) { return layer->is_nvfp4(); };
  if (activations_ == Activations::kFull || std::none_of(layers.begin(), layers.end(), is_nvfp4)) return;
  const reset::GlobalScale scale = shared_input_scale(layers);
  for (std::int64_t r = 0; r < count_; ++r) {
    round_to_nvfp4(x.data() + r * cols, cols, scale, rounded_.data() + r * cols);
  }
}

void Model::multiply(const Linear& linear, const std::vector<float>& x, std::vector<float>& y, int part) const {
  const auto [begin, end] = pool_.share(linear.rows(), part);
  const bool rounded = activations_ == Activations::kNvfp4 && linear.is_nvfp4();
  if (begin < end) linear.apply(rounded ? rounded_.data() : x.data(), count_, y.data(), begin, end);
}

void Model::attention(const Layer& layer, std::int64_t index, const std::vector<Row>& rows) {
  const std::int64_t hidden = config_.hidden_size;
  for (std::int64_t r = 0; r < count_; ++r) {
    rms_norm(hidden_.data() + r * hidden, layer.input_norm.data(), hidden, config_.rms_norm_eps,
             normed_.data() + r * hidden);
  }
  take_input({&layer.query, &layer.key, &layer.value}, normed_, hidden);
  pool_.run([&](int part) {
    multiply(layer.query, normed_, query_, part);
    multiply(layer.key, normed_, keys_, part);
    multiply(layer.value, normed_, vals_, part);
  });
  for (std::int64_t r = 0; r < count_; ++r) store(layer, index, rows[size_of(r)], r);
  pool_.run([&](int part) {
    float* scores = scores_.data() + part * config_.max_positions;
    for (std::int64_t task = part; task < count_ * config_.heads; task += pool_.parts()) {
      const std::int64_t r = task / config_.heads;
      attend(layer, index, rows[size_of(r)], r, task % config_.heads, scores);
    }
  });
  take_input({&layer.output}, context_, config_.heads * config_.head_dim);
  pool_.run([&](int part) { multiply(layer.output, context_, out_, part); });
  add(hidden_.data(), out_.data(), count_ * hidden);
}

// A query or key of one head: normalised, where the architecture does that, and turned to row r's position.
void Model::place_head(const std::vector<float>& norm, std::int64_t r, float* x) const {
  const std::int64_t dim = config_.head_dim;
  if (!norm.empty()) rms_norm(x, norm.data(), dim, config_.rms_norm_eps, x);
  rotate(x, cosines_.data() + r * dim / 2, sines_.data() + r * dim / 2, dim);
}

// Row r's keys, at their position, and its values go to the cache.
void Model::store(const Layer& layer, std::int64_t index, const Row& row, std::int64_t r) {
  const std::int64_t dim = config_.head_dim;
  for (std::int64_t h = 0; h < config_.kv_heads; ++h) {
    const std::int64_t from = (r * config_.kv_heads + h) * dim;
    float* key = row.cache->key(index, h, positions_[size_of(r)]);
    float* value = row.cache->value(index, h, positions_[size_of(r)]);
    std::copy_n(keys_.data() + from, dim, key);
    std::copy_n(vals_.data() + from, dim, value);
    add_bias(layer.key_bias, h, dim, key);
    add_bias(layer.value_bias, h, dim, value);
    place_head(layer.key_norm, r, key);
  }
}

// One query head of row r looks at every position up to its own. Several query heads share one key/value head.
void Model::attend(const Layer& layer, std::int64_t index, const Row& row, std::int64_t r, std::int64_t head,
                   float* scores) {
  const std::int64_t dim = config_.head_dim;
  const std::int64_t kv_head = head / (config_.heads / config_.kv_heads);
  const std::int64_t seen = positions_[size_of(r)] + 1;
  float* query = query_.data() + (r * config_.heads + head) * dim;
  add_bias(layer.query_bias, head, dim, query);
  place_head(layer.query_norm, r, query);
  const float scale = 1.0F / std::sqrt(static_cast<float>(dim));
  const float* keys = row.cache->key(index, kv_head, 0);
  for (std::int64_t p = 0; p < seen; ++p) scores[p] = dot(query, keys + p * dim, dim) * scale;
  softmax(scores, seen);
  weighted_sum(scores, row.cache->value(index, kv_head, 0), seen, dim,
               context_.data() + (r * config_.heads + head) * dim);
}

void Model::feed_forward(const Layer& layer) {
  const std::int64_t hidden = config_.hidden_size;
  for (std::int64_t r = 0; r < count_; ++r) {
    rms_norm(hidden_.data() + r * hidden, layer.output_norm.data(), hidden, config_.rms_norm_eps,
             normed_.data() + r * hidden);
  }
  take_input({&layer.gate, &layer.up}, normed_, hidden);
  pool_.run([&](int part) {
    multiply(layer.gate, normed_, gate_, part);
    multiply(layer.up, normed_, up_, part);
  });
  gated_silu(gate_.data(), up_.data(), count_ * config_.intermediate_size);
  take_input({&layer.down}, gate_, config_.intermediate_size);
  pool_.run([&](int part) { multiply(layer.down, gate_, out_, part); });
  add(hidden_.data(), out_.data(), count_ * hidden);
}

// The vocabulary is by far the largest layer of a real model: only rows that want logits go through it.
void Model::head(const std::vector<Row>& rows) {
  const std::int64_t hidden = config_.hidden_size;
  std::int64_t wanted = 0;
  for (std::int64_t r = 0; r < count_; ++r) {
    if (rows[size_of(r)].logits == nullptr) continue;
    rms_norm(hidden_.data() + r * hidden, weights_.final_norm.data(), hidden, config_.rms_norm_eps,
             normed_.data() + wanted++ * hidden);
  }
  if (wanted == 0) return;
  count_ = wanted;
  take_input({&weights_.head}, normed_, hidden);
  pool_.run([&](int part) { multiply(weights_.head, normed_, logits_, part); });
  const float* from = logits_.data();
  for (const Row& row : rows) {
    if (row.logits == nullptr) continue;
    std::copy_n(from, config_.vocab_size, row.logits);
    from += config_.vocab_size;
  }
}

}  // namespace engine
