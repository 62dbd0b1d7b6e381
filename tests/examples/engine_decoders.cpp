#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <reset/status.hpp>

#include "decoder_oracle.hpp"
#include "model.hpp"
#include "process.hpp"
#include "small_decoder.hpp"
#include "support/catch.hpp"

using Catch::Matchers::Contains;
using testing::SmallDecoder;
using testing::Stored;

namespace {

const std::vector<std::int32_t> kTokens = {0, 7, 49, 3, 3, 12, 30, 5, 21, 44, 17, 8, 2, 40, 33, 9, 1, 25, 6, 11};
constexpr float kInputScale = 8.0F / (6 * 448);

using Logits = std::vector<std::vector<float>>;

Logits run(engine::Model& model) {
  engine::KvCache cache(model.config(), model.config().max_positions);
  Logits logits(kTokens.size(), std::vector<float>(static_cast<std::size_t>(model.config().vocab_size), 1e30F));
  for (std::size_t first = 0; first < kTokens.size(); first += 7) {
    std::vector<engine::Row> rows;
    for (std::size_t i = first; i < std::min(first + 7, kTokens.size()); ++i) {
      rows.push_back({kTokens[i], &cache, logits[i].data()});
    }
    model.forward(rows);
  }
  return logits;
}

// The root mean square of the differences, over that of the expected logits.
double relative_error(const Logits& found, const std::vector<std::vector<double>>& expected) {
  double difference = 0;
  double total = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    for (std::size_t id = 0; id < expected[i].size(); ++id) {
      difference += std::pow(static_cast<double>(found[i].at(id)) - expected[i][id], 2);
      total += std::pow(expected[i][id], 2);
    }
  }
  return std::sqrt(difference / total);
}

// The nearest of the magnitudes that e2m1 has, ties to the even code.
double nearest_e2m1(double x) {
  constexpr double kValues[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  int best = 0;
  for (int code = 1; code < 8; ++code) {
    const double gain = std::fabs(std::fabs(x) - kValues[best]) - std::fabs(std::fabs(x) - kValues[code]);
    if (gain > 0 || (gain == 0 && code % 2 == 0)) best = code;
  }
  return std::copysign(kValues[best], x);
}

// The nearest of the numbers that e4m3 has, for 0 <= x <= 448.
double nearest_e4m3(double x) {
  if (x <= 0) return 0;
  const double step = std::ldexp(1.0, std::max(std::ilogb(x), -6) - 3);
  return std::nearbyint(x / step) * step;
}

std::vector<double> round_to_nvfp4(const std::vector<double>& x) {
  const auto global = static_cast<double>(kInputScale);
  std::vector<double> y(x.size());
  for (std::size_t first = 0; first < x.size(); first += 16) {
    double amax = 0;
    for (std::size_t i = first; i < first + 16; ++i) amax = std::fmax(amax, std::fabs(x[i]));
    const double scale = nearest_e4m3(std::fmin(amax / 6 / global, 448.0)) * global;
    for (std::size_t i = first; i < first + 16; ++i) y[i] = scale > 0 ? nearest_e2m1(x[i] / scale) * scale : 0;
  }
  return y;
}

std::vector<SmallDecoder> decoders() {
  std::vector<SmallDecoder> all;
  for (const char* architecture : {"qwen2", "qwen3"}) {
    for (const Stored stored : {Stored::kBf16, Stored::kModelOpt, Stored::kCompressedTensors}) {
      for (const bool tied : {false, true}) all.push_back({architecture, stored, tied, 0, 1});
    }
  }
  return all;
}

}  // namespace

TEST_CASE("both architectures in every layout agree with float64") {
  for (const SmallDecoder& decoder : decoders()) {
    CAPTURE(decoder.architecture, static_cast<int>(decoder.stored), decoder.tied);
    const testing::Scratch folder;
    decoder.write(folder / "model");
    const engine::Weights weights(folder / "model");
    CHECK(weights.has_nvfp4() == (decoder.stored != Stored::kBf16));
    engine::Model model(weights);
    CHECK(relative_error(run(model), testing::DecoderOracle(decoder, folder / "model").logits(kTokens)) < 2e-6);
  }
}

TEST_CASE("NVFP4 activations are those of the checkpoint's scales") {
  for (const char* architecture : {"qwen2", "qwen3"}) {
    for (const Stored stored : {Stored::kModelOpt, Stored::kCompressedTensors}) {
      CAPTURE(architecture, static_cast<int>(stored));
      const SmallDecoder decoder{architecture, stored, false, kInputScale, 3};
      const testing::Scratch folder;
      decoder.write(folder / "model");
      const engine::Weights weights(folder / "model");
      engine::Model model(weights, 2, engine::Activations::kNvfp4);
      const Logits logits = run(model);
      // A value in the middle between two codes may round to the other one: the bound is no float's, but far below
      // what the rounding itself changes.
      const double rounded =
          relative_error(logits, testing::DecoderOracle(decoder, folder / "model", round_to_nvfp4).logits(kTokens));
      const double exact = relative_error(logits, testing::DecoderOracle(decoder, folder / "model").logits(kTokens));
      CHECK(exact > 0.05);
      CHECK(rounded < 0.1 * exact);
    }
  }
}

TEST_CASE("values become NVFP4 and come back") {
  std::vector<float> x(32);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i * i)) * (i < 16 ? 3.0F : 0.01F);
  x[5] = 100.0F;  // beyond what the scale was made for: the largest value that it reaches
  std::vector<float> y(x.size(), 1e30F);
  engine::round_to_nvfp4(x.data(), 32, {kInputScale}, y.data());
  const std::vector<double> expected = round_to_nvfp4({x.begin(), x.end()});
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(static_cast<double>(y[i]) == Approx(expected[i]).epsilon(1e-6));
  CHECK(y[5] == Approx(8.0F));
}

TEST_CASE("layers that share an input share the largest of their scales") {
  const testing::Scratch folder;
  for (const float scale : {0.25F, 2.0F}) {
    SmallDecoder{"qwen3", Stored::kModelOpt, false, scale, 1}.write(folder / std::to_string(scale));
  }
  const engine::Weights small(folder / std::to_string(0.25F));
  const engine::Weights large(folder / std::to_string(2.0F));
  const engine::Linear& a = small.layers[0].query;
  const engine::Linear& b = large.layers[0].query;
  CHECK(engine::shared_input_scale({&a, &a}).value == 0.25F);
  CHECK(engine::shared_input_scale({&a, &b, &small.head}).value == 2.0F);
  CHECK(engine::shared_input_scale({&b, &a}).value == 2.0F);
}

TEST_CASE("NVFP4 activations need scales") {
  const testing::Scratch folder;
  SmallDecoder{"qwen3", Stored::kBf16}.write(folder / "bf16");
  SmallDecoder{"qwen3", Stored::kModelOpt}.write(folder / "plain");
  const auto start = [&](const char* name) {
    const engine::Weights weights(folder / name);
    engine::Model model(weights, 1, engine::Activations::kNvfp4);
  };
  CHECK_THROWS_WITH(start("bf16"), Contains("no layer of the checkpoint is NVFP4, expected NVFP4 weights"));
  CHECK_THROWS_WITH(start("plain"), Contains("model.layers.0.self_attn.q_proj has no input scale, expected"));
}

TEST_CASE("the largest input of every layer is recorded") {
  const testing::Scratch folder;
  const SmallDecoder decoder{"qwen2", Stored::kBf16, true};
  decoder.write(folder / "model");
  const engine::Weights weights(folder / "model");
  engine::Model model(weights);
  engine::InputMaxima maxima;
  model.record_inputs(&maxima);
  run(model);
  CHECK(maxima.size() == 7 * static_cast<std::size_t>(decoder.kLayers));  // not the head, which is the embedding
  const std::string layer = "model.layers.1.";
  CHECK(maxima.at(layer + "self_attn.q_proj") == maxima.at(layer + "self_attn.v_proj"));
  CHECK(maxima.at(layer + "mlp.gate_proj") == maxima.at(layer + "mlp.up_proj"));
  for (const auto& [name, amax] : maxima) CHECK(amax > 0.01F);
  model.record_inputs(nullptr);
  const engine::InputMaxima before = maxima;
  run(model);
  CHECK(maxima == before);
}

TEST_CASE("missing biases and norms are missed by name") {
  const testing::Scratch folder;
  SmallDecoder{"qwen3", Stored::kBf16}.write(folder / "model");
  nlohmann::json config = SmallDecoder{"qwen3", Stored::kBf16}.config();
  config["model_type"] = "qwen2";
  config["attention_bias"] = true;
  testing::write_text(folder / "model/config.json", config.dump());
  CHECK_THROWS_WITH(engine::Weights(folder / "model"), Contains("self_attn.q_proj.bias") && Contains("missing"));
}
