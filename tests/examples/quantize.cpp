#include <algorithm>
#include <cstring>
#include <set>

#include <nlohmann/json.hpp>
#include <reset/io/checkpoint.hpp>
#include <reset/nvfp4/quantize.hpp>
#include <reset/nvfp4/reference.hpp>

#include "options.hpp"
#include "process.hpp"
#include "small_checkpoint.hpp"
#include "support/catch.hpp"

using Catch::Matchers::Contains;

namespace {

namespace fs = std::filesystem;

const char* const kCopied[] = {"generation_config.json", "tokenizer.model",    "preprocessor_config.json",
                               "processor_config.json",  "chat_template.json", "chat_template.jinja"};

void write_tiny(const fs::path& folder, reset::DType dtype) {
  fs::create_directory(folder);
  testing::write_file(folder / "model.safetensors", testing::tiny_model(), dtype);
  testing::write_text(folder / "config.json", R"({"model_type": "qwen3", "hidden_size": 64})");
  testing::write_text(folder / "tokenizer.json", "{\"any\": [1, 2]}\n");
  for (const char* name : kCopied) testing::write_text(folder / name, name);
}

void run_tool(const fs::path& in, const fs::path& out, const std::string& rule, const std::string& format,
              const std::string& exclude = "none") {
  const auto outcome =
      testing::run({RESET_QUANTIZE, in, out, "--rule", rule, "--format", format, "--exclude", exclude});
  CAPTURE(outcome.output);
  REQUIRE(outcome.exit_code == 0);
}

// What the library's quantiser makes of the whole matrix at once.
template <class QuantiserRule>
std::vector<float> expected_values(const testing::SmallTensor& tensor) {
  const std::int64_t rows = tensor.shape[0];
  const std::int64_t cols = tensor.shape[1];
  std::vector<std::uint8_t> packed(static_cast<std::size_t>(rows * cols / 2));
  std::vector<std::uint8_t> scales(static_cast<std::size_t>(rows * cols / 16));
  const QuantiserRule rule;
  reset::Nvfp4MutableMatrixView view;
  view.packed = packed.data();
  view.rows = rows;
  view.cols = cols;
  view.row_stride = cols / 2;
  view.block_scale.data = scales.data();
  view.block_scale.stride = cols / 16;
  view.global =
      reset::FusedGlobalScales::uniform(rule.global_scale(reset::tensor_amax(tensor.values.data(), rows, cols, cols)));
  reset::quantize_rows(rule, tensor.values.data(), cols, 0, rows, nullptr, view);
  std::vector<float> values(tensor.values.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    reset::dequantize_row(view, row, values.data() + row * cols);
  }
  return values;
}

std::vector<float> stored_values(const reset::Checkpoint& checkpoint, const std::string& module) {
  const reset::Nvfp4Weight weight = checkpoint.nvfp4(module);
  std::vector<float> values(static_cast<std::size_t>(weight.view().rows * weight.view().cols));
  for (std::int64_t row = 0; row < weight.view().rows; ++row) {
    reset::dequantize_row(weight.view(), row, values.data() + row * weight.view().cols);
  }
  return values;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

const std::set<std::string> kQuantised = {"model.layers.0.mlp.up_proj", "model.layers.0.mlp.down_proj",
                                          "model.layers.0.self_attn.q_proj"};

template <class QuantiserRule>
void check_checkpoint(const fs::path& folder) {
  const reset::Checkpoint checkpoint = reset::Checkpoint::open(folder.string());
  for (const testing::SmallTensor& tensor : testing::tiny_model()) {
    CAPTURE(tensor.name);
    const std::string module = tensor.name.substr(0, tensor.name.rfind('.'));
    if (kQuantised.count(module) != 0 && tensor.name.substr(module.size()) == ".weight") {
      REQUIRE(checkpoint.is_nvfp4(module));
      const std::vector<float> expected = expected_values<QuantiserRule>(tensor);
      REQUIRE_FALSE(same_bits(expected, std::vector<float>(expected.size())));
      CHECK(same_bits(stored_values(checkpoint, module), expected));
    } else {
      const reset::TensorView& kept = checkpoint.tensor(tensor.name);
      CHECK(kept.shape == tensor.shape);
      std::vector<float> values(tensor.values.size(), -1.0F);
      reset::read_floats(kept, 0, kept.size(), values.data());
      CHECK(same_bits(values, tensor.values));
    }
  }
}

}  // namespace

TEST_CASE("every rule stores what the library's quantiser gives, bit by bit, in either format and from every type") {
  const testing::Scratch scratch;
  for (const reset::DType dtype : {reset::DType::kBF16, reset::DType::kF16, reset::DType::kF32}) {
    CAPTURE(reset::dtype_name(dtype));
    const fs::path in = scratch / std::string(reset::dtype_name(dtype));
    write_tiny(in, dtype);
    for (const std::string format : {"modelopt", "compressed-tensors"}) {
      const fs::path out = scratch / "out";
      run_tool(in, out, "round-to-nearest", format);
      check_checkpoint<reset::RoundToNearest>(out);
      fs::remove_all(out);
      run_tool(in, out, "four-over-six", format);
      check_checkpoint<reset::FourOverSix>(out);
      fs::remove_all(out);
      run_tool(in, out, "scale-sweep", format);
      check_checkpoint<reset::ScaleSweep>(out);
      fs::remove_all(out);
    }
  }
}

TEST_CASE("the configuration says what was done, and the other files come along") {
  const testing::Scratch scratch;
  write_tiny(scratch / "in", reset::DType::kBF16);
  run_tool(scratch / "in", scratch / "a", "round-to-nearest", "modelopt", "*.q_proj");
  const auto config = nlohmann::json::parse(testing::read_text(scratch / "a/config.json"));
  CHECK(config.at("hidden_size") == 64);
  CHECK(config.contains("quantization_config"));
  CHECK(fs::exists(scratch / "a/hf_quant_config.json"));
  CHECK(testing::read_text(scratch / "a/tokenizer.json") == "{\"any\": [1, 2]}\n");
  for (const std::string name : kCopied) CHECK(testing::read_text(scratch / ("a/" + name)) == name);
  CHECK_FALSE(fs::exists(scratch / "a/model.safetensors.index.json"));
  const reset::Checkpoint checkpoint = reset::Checkpoint::open((scratch / "a").string());
  CHECK(checkpoint.quantization().convention() == reset::CheckpointConvention::kModelOpt);
  CHECK(checkpoint.quantization().excludes("lm_head"));
  CHECK(checkpoint.quantization().excludes("model.layers.0.self_attn.q_proj"));
  CHECK(checkpoint.quantization().excludes("model.layers.0.odd"));
  CHECK_FALSE(checkpoint.quantization().excludes("model.layers.0.mlp.up_proj"));
  CHECK_FALSE(checkpoint.is_nvfp4("model.layers.0.self_attn.q_proj"));
  CHECK(checkpoint.is_nvfp4("model.layers.0.mlp.up_proj"));

  run_tool(scratch / "in/model.safetensors", scratch / "b", "round-to-nearest", "compressed-tensors");
  CHECK_FALSE(fs::exists(scratch / "b/hf_quant_config.json"));
  CHECK(reset::Checkpoint::open((scratch / "b").string()).quantization().convention() ==
        reset::CheckpointConvention::kCompressedTensors);
}

TEST_CASE("shards are mirrored") {
  const testing::Scratch scratch;
  const fs::path in = scratch / "in";
  fs::create_directory(in);
  const auto tensors = testing::tiny_model();
  const std::string names[] = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"};
  nlohmann::json map;
  for (int shard = 0; shard < 2; ++shard) {
    std::vector<testing::SmallTensor> part(tensors.begin() + shard * 4, tensors.begin() + shard * 4 + 4);
    testing::write_file(in / names[shard], part, reset::DType::kBF16);
    for (const auto& tensor : part) map[tensor.name] = names[shard];
  }
  testing::write_text(in / "model.safetensors.index.json", nlohmann::json{{"weight_map", map}}.dump());
  run_tool(in, scratch / "out", "round-to-nearest", "modelopt");
  check_checkpoint<reset::RoundToNearest>(scratch / "out");
  const auto index = nlohmann::json::parse(testing::read_text(scratch / "out/model.safetensors.index.json"));
  CHECK(index.at("weight_map").at("model.layers.0.mlp.up_proj.weight_scale_2") == names[0]);
  CHECK(index.at("weight_map").at("lm_head.weight") == names[1]);
  std::uint64_t bytes = 0;
  const reset::Checkpoint checkpoint = reset::Checkpoint::open((scratch / "out").string());
  for (const std::string& name : checkpoint.names()) bytes += checkpoint.tensor(name).bytes;
  CHECK(index.at("metadata").at("total_size") == bytes);
}

TEST_CASE("embeddings, output layers and routers are kept, and nothing that sounds like them") {
  const auto excluded = [](const std::string& module) {
    const std::vector<std::string> patterns = quantize::Options().exclude;
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return quantize::matches(pattern, module); });
  };
  for (const char* module : {"model.embed_tokens", "lm_head", "language_model.lm_head", "transformer.wte", "wpe",
                             "model.layers.3.mlp.gate", "model.layers.0.block_sparse_moe.gate"}) {
    CHECK(excluded(module));
  }
  for (const char* module : {"model.layers.3.mlp.gate_proj", "model.layers.3.mlp.experts.0.up_proj",
                             "model.layers.3.self_attn.o_proj", "transformer.h.0.mlp.c_fc"}) {
    CHECK_FALSE(excluded(module));
  }
}

TEST_CASE("patterns match whole names") {
  CHECK(quantize::matches("lm_head", "lm_head"));
  CHECK_FALSE(quantize::matches("lm_head", "lm_head.x"));
  CHECK_FALSE(quantize::matches("lm_head", "x.lm_head"));
  CHECK(quantize::matches("*embed*", "model.embed_tokens"));
  CHECK(quantize::matches("*.0.*.up_proj", "model.layers.0.mlp.up_proj"));
  CHECK_FALSE(quantize::matches("*.0.*.up_proj", "model.layers.10.mlp.up_proj"));
  CHECK(quantize::matches("**", ""));
  CHECK_FALSE(quantize::matches("", "a"));
  CHECK(quantize::matches("a*b*c", "aXbYbZc"));
  CHECK_FALSE(quantize::matches(std::string(40, '*') + "b", std::string(5000, 'a')));  // and returns at once
}

TEST_CASE("input scales are stored as readers look for them, and have to be complete") {
  const testing::Scratch folder;
  write_tiny(folder / "in", reset::DType::kBF16);
  const std::string scales = folder / "scales.json";
  const char* const modules[] = {"model.layers.0.mlp.up_proj", "model.layers.0.mlp.down_proj",
                                 "model.layers.0.self_attn.q_proj"};
  nlohmann::json json = {{"lm_head", 0.25}};  // recorded, but not quantised
  for (const char* module : modules) json[module] = 0.0625 * static_cast<double>(json.size());
  testing::write_text(scales, json.dump());
  for (const std::string format : {"modelopt", "compressed-tensors"}) {
    const auto outcome =
        testing::run({RESET_QUANTIZE, folder / "in", folder / format, "--format", format, "--input-scales", scales});
    CAPTURE(outcome.output);
    REQUIRE(outcome.exit_code == 0);
    const reset::Checkpoint checkpoint = reset::Checkpoint::open(folder / format);
    for (const char* module : modules) {
      const auto found = checkpoint.nvfp4(module).input_scales();
      REQUIRE(found.size() == 1);
      CHECK(static_cast<double>(found[0].value) == Approx(json[module].get<double>()));
    }
    const auto config = nlohmann::json::parse(testing::read_text(folder / format / "config.json"));
    CHECK(config["quantization_config"]["config_groups"]["group_0"]["input_activations"]["num_bits"] == 4);
  }
  const auto refuses = [&](const std::string& text, const std::string& words) {
    testing::write_text(scales, text);
    const auto outcome = testing::run({RESET_QUANTIZE, folder / "in", folder / "out", "--input-scales", scales});
    CHECK(outcome.exit_code == 1);
    CHECK_THAT(outcome.output, Contains(words));
    CHECK_FALSE(fs::exists(folder / "out"));
  };
  refuses("{\"lm_head\": 1}", "is missing, expected a scale for every layer that is quantised");
  refuses("{\"lm_head\": -1}", "lm_head is -1, expected a positive, normal float");
  refuses("{\"lm_head\": \"1\"}", "lm_head is \"1\", expected a positive");
  refuses("[1]", "not valid JSON, expected one object");
}
