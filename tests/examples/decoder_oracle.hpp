// A decoder in float64, one token after the other and as plain as it can be: what the engine's logits are held to.
#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <reset/io/checkpoint.hpp>
#include <reset/nvfp4/reference.hpp>

#include "small_decoder.hpp"

namespace testing {

class DecoderOracle {
 public:
  using Vector = std::vector<double>;
  // What is done to the input of every quantised layer.
  using Rounding = std::function<Vector(const Vector&)>;

  DecoderOracle(const SmallDecoder& decoder, const std::filesystem::path& folder, Rounding rounding = {})
      : decoder_(decoder), checkpoint_(reset::Checkpoint::open(folder.string())), rounding_(std::move(rounding)) {}

  // The logits after each token.
  std::vector<Vector> logits(const std::vector<std::int32_t>& tokens) {
    std::vector<Vector> result;
    std::vector<std::vector<Vector>> keys(decoder_.kLayers), values(decoder_.kLayers);  // [layer][position]
    for (const std::int32_t token : tokens) {
      const Vector embedding = tensor("model.embed_tokens.weight");
      Vector x(embedding.begin() + token * decoder_.kHidden, embedding.begin() + (token + 1) * decoder_.kHidden);
      for (std::size_t i = 0; i < keys.size(); ++i) {
        const std::string layer = "model.layers." + std::to_string(i) + ".";
        add(x, attention(layer + "self_attn.", norm(x, layer + "input_layernorm.weight"), keys[i], values[i]));
        add(x, feed_forward(layer + "mlp.", norm(x, layer + "post_attention_layernorm.weight")));
      }
      const std::string head = decoder_.tied ? "model.embed_tokens" : "lm_head";
      result.push_back(linear(head, norm(x, "model.norm.weight")));
    }
    return result;
  }

 private:
  Vector tensor(const std::string& name) const {
    const reset::TensorView& view = checkpoint_.tensor(name);
    std::vector<float> floats(static_cast<std::size_t>(view.size()));
    reset::read_floats(view, 0, view.size(), floats.data());
    return {floats.begin(), floats.end()};
  }

  static void add(Vector& x, const Vector& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }

  Vector linear(const std::string& name, const Vector& x) const {
    Vector y;
    if (checkpoint_.is_nvfp4(name)) {
      const reset::Nvfp4Weight weight = checkpoint_.nvfp4(name);
      const reset::Nvfp4MatrixView& view = weight.view();
      const Vector input = rounding_ ? rounding_(x) : x;
      y.resize(static_cast<std::size_t>(view.rows));
      reset::throw_if_failed(reset::reference_gemv(view, input.data(), 1, view.cols, y.data(), view.rows));
    } else {
      const Vector weights = tensor(name + ".weight");
      y.resize(weights.size() / x.size());
      for (std::size_t n = 0; n < y.size(); ++n) {
        for (std::size_t k = 0; k < x.size(); ++k) y[n] += weights[n * x.size() + k] * x[k];
      }
    }
    if (checkpoint_.contains(name + ".bias")) add(y, tensor(name + ".bias"));
    return y;
  }

  Vector norm(const Vector& x, const std::string& name) const {
    const Vector weight = tensor(name);
    double sum = 0;
    for (const double value : x) sum += value * value;
    const double scale = 1 / std::sqrt(sum / static_cast<double>(x.size()) + 1e-6);
    Vector y = x;
    for (std::size_t i = 0; i < x.size(); ++i) y[i] *= scale * weight[i];
    return y;
  }

  // One head of a projection, normalised where the architecture does that, and turned to its position.
  Vector head(const Vector& x, std::size_t index, const std::string& norm_name, std::size_t position) const {
    const auto dim = static_cast<std::size_t>(decoder_.head_dim());
    const auto begin = x.begin() + static_cast<std::ptrdiff_t>(index * dim);
    Vector part(begin, begin + static_cast<std::ptrdiff_t>(dim));
    if (checkpoint_.contains(norm_name)) part = norm(part, norm_name);
    Vector turned = part;
    for (std::size_t i = 0; i < dim / 2; ++i) {
      const double angle =
          static_cast<double>(position) * std::pow(1e6, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
      turned[i] = part[i] * std::cos(angle) - part[i + dim / 2] * std::sin(angle);
      turned[i + dim / 2] = part[i + dim / 2] * std::cos(angle) + part[i] * std::sin(angle);
    }
    return turned;
  }

  Vector attention(const std::string& prefix, const Vector& x, std::vector<Vector>& keys,
                   std::vector<Vector>& values) const {
    const auto dim = static_cast<std::size_t>(decoder_.head_dim());
    const std::size_t position = values.size();
    const Vector key = linear(prefix + "k_proj", x);
    const Vector query = linear(prefix + "q_proj", x);
    values.push_back(linear(prefix + "v_proj", x));
    keys.emplace_back();
    for (std::size_t h = 0; h < decoder_.kKvHeads; ++h) {
      const Vector turned = head(key, h, prefix + "k_norm.weight", position);
      keys.back().insert(keys.back().end(), turned.begin(), turned.end());
    }
    Vector context(query.size());
    for (std::size_t h = 0; h < decoder_.kHeads; ++h) {
      const Vector q = head(query, h, prefix + "q_norm.weight", position);
      const std::size_t from = h / (decoder_.kHeads / decoder_.kKvHeads) * dim;
      Vector weights;
      double sum = 0;
      for (const Vector& k : keys) {
        double score = 0;
        for (std::size_t i = 0; i < dim; ++i) score += q[i] * k[from + i];
        weights.push_back(std::exp(score / std::sqrt(static_cast<double>(dim))));
        sum += weights.back();
      }
      for (std::size_t p = 0; p < weights.size(); ++p) {
        for (std::size_t i = 0; i < dim; ++i) context[h * dim + i] += weights[p] / sum * values[p][from + i];
      }
    }
    return linear(prefix + "o_proj", context);
  }

  Vector feed_forward(const std::string& prefix, const Vector& x) const {
    Vector gate = linear(prefix + "gate_proj", x);
    const Vector up = linear(prefix + "up_proj", x);
    for (std::size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
    return linear(prefix + "down_proj", gate);
  }

  SmallDecoder decoder_;
  reset::Checkpoint checkpoint_;
  Rounding rounding_;
};

}  // namespace testing
