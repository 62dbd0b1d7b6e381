#include "config.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <initializer_list>
#include <string>

#include <nlohmann/json.hpp>
#include <reset/status.hpp>

namespace engine {
namespace {

using Json = nlohmann::json;

// One JSON object and the file it came from, so that every complaint can name both.
struct Section {
  const Json& object;
  std::string where;

  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const {
    const std::string found = object.contains(key) ? object[key].dump() : "missing";
    throw reset::Error(where + ": " + key + " is " + found + ", expected " + expected);
  }

  bool has(const std::string& key) const { return object.contains(key) && !object[key].is_null(); }

  std::int64_t count(const std::string& key) const {
    constexpr std::int64_t kMost = std::int64_t{1} << 30;  // products of two such sizes stay inside 64 bits
    if (!has(key) || !object[key].is_number_integer()) refuse(key, "a positive integer");
    const auto value = object[key].get<std::int64_t>();
    if (value < 1 || value > kMost) refuse(key, "1.." + std::to_string(kMost));
    return value;
  }

  float positive_real(const std::string& key) const {
    if (!has(key) || !object[key].is_number()) refuse(key, "a positive number");
    const auto value = object[key].get<double>();
    if (!(value > 0.0 && value < 1e30)) refuse(key, "a positive number");
    return static_cast<float>(value);
  }

  bool flag(const std::string& key, bool otherwise) const {
    if (!has(key)) return otherwise;
    if (!object[key].is_boolean()) refuse(key, "true or false");
    return object[key].get<bool>();
  }

  // Refuses every value but `only` (or its absence): the engine has just that one path.
  void require(const std::string& key, const Json& only) const {
    if (has(key) && object[key] != only) refuse(key, only.dump() + " (nothing else is supported)");
  }
};

Json parse_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw reset::Error(path.string() + ": cannot be opened, expected a model's config.json");
  Json json = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw reset::Error(path.string() + ": not valid JSON, expected one object");
  return json;
}

Architecture read_architecture(const Section& config) {
  if (config.has("model_type") && config.object["model_type"] == "qwen2") return Architecture::kQwen2;
  if (config.has("model_type") && config.object["model_type"] == "qwen3") return Architecture::kQwen3;
  config.refuse("model_type", "\"qwen2\" or \"qwen3\"");
}

void refuse_variants(const Section& config, Architecture architecture) {
  for (const char* key : {"num_experts", "num_local_experts", "moe_intermediate_size"}) {
    if (config.has(key)) config.refuse(key, "no experts: mixture-of-experts layers are not supported");
  }
  if (architecture == Architecture::kQwen3) config.require("attention_bias", false);  // Qwen2 has no such switch
  config.require("hidden_act", "silu");
  config.require("use_sliding_window", false);
  config.require("use_mrope", false);
  config.require("partial_rotary_factor", 1.0);
  if (config.has("layer_types") && config.object["layer_types"].is_array()) {
    for (const Json& type : config.object["layer_types"]) {
      if (type != "full_attention") config.refuse("layer_types", "only \"full_attention\"");
    }
  }
}

// Older files keep rope_theta at the top and scaling in rope_scaling, newer ones keep both in rope_parameters.
float read_rope_theta(const Section& config) {
  float theta = 10000.0F;
  if (config.has("rope_theta")) theta = config.positive_real("rope_theta");
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.has(key)) continue;
    const Section rope{config.object[key], config.where + ": " + key};
    if (!rope.object.is_object()) config.refuse(key, "an object");
    rope.require("rope_type", "default");
    rope.require("type", "default");
    if (rope.has("rope_theta")) theta = rope.positive_real("rope_theta");
  }
  return theta;
}

void add_tokens(const Section& section, const std::string& key, std::int64_t vocab_size,
                std::vector<std::int32_t>& tokens) {
  if (!section.has(key)) return;
  const Json& value = section.object[key];
  const Json list = value.is_array() ? value : Json::array({value});
  for (const Json& id : list) {
    const std::string expected = "token ids, 0.." + std::to_string(vocab_size - 1);
    if (!id.is_number_integer()) section.refuse(key, expected);
    const auto token = id.get<std::int64_t>();
    if (token < 0 || token >= vocab_size) section.refuse(key, expected);
    tokens.push_back(static_cast<std::int32_t>(token));
  }
}

void check_sizes(const Section& file, const ModelConfig& config) {
  if (config.heads % config.kv_heads != 0) {
    file.refuse("num_key_value_heads", "a divisor of num_attention_heads, " + std::to_string(config.heads));
  }
  if (!file.has("head_dim") && config.hidden_size % config.heads != 0) {
    file.refuse("num_attention_heads", "a divisor of hidden_size, " + std::to_string(config.hidden_size));
  }
  if (config.head_dim % 2 != 0) file.refuse("head_dim", "an even number");
}

}  // namespace

bool ModelConfig::is_eos(std::int32_t token) const {
  return std::find(eos_tokens.begin(), eos_tokens.end(), token) != eos_tokens.end();
}

ModelConfig read_config(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "config.json";
  const Json json = parse_file(path);
  const Section file{json, path.string()};
  ModelConfig config;
  config.architecture = read_architecture(file);
  refuse_variants(file, config.architecture);
  config.hidden_size = file.count("hidden_size");
  config.intermediate_size = file.count("intermediate_size");
  config.layers = file.count("num_hidden_layers");
  config.heads = file.count("num_attention_heads");
  config.kv_heads = file.has("num_key_value_heads") ? file.count("num_key_value_heads") : config.heads;
  config.head_dim = file.has("head_dim") ? file.count("head_dim") : config.hidden_size / config.heads;
  config.vocab_size = file.count("vocab_size");
  config.max_positions = file.count("max_position_embeddings");
  config.rope_theta = read_rope_theta(file);
  config.rms_norm_eps = file.positive_real("rms_norm_eps");
  config.tie_word_embeddings = file.flag("tie_word_embeddings", false);
  check_sizes(file, config);
  std::vector<std::int32_t> bos;
  add_tokens(file, "bos_token_id", config.vocab_size, bos);
  if (!bos.empty()) config.bos_token = bos.front();
  add_tokens(file, "eos_token_id", config.vocab_size, config.eos_tokens);
  const std::filesystem::path generation = directory / "generation_config.json";
  if (std::filesystem::exists(generation)) {
    const Json more = parse_file(generation);
    add_tokens({more, generation.string()}, "eos_token_id", config.vocab_size, config.eos_tokens);
  }
  return config;
}

}  // namespace engine
