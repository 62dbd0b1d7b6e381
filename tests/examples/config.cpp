#include "config.hpp"

#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include "process.hpp"
#include "support/catch.hpp"

using Catch::Matchers::Contains;
using Json = nlohmann::json;

namespace {

// What transformers writes for a small Qwen3.
Json qwen3() {
  return {{"model_type", "qwen3"},
          {"hidden_size", 384},
          {"intermediate_size", 896},
          {"num_hidden_layers", 8},
          {"num_attention_heads", 6},
          {"num_key_value_heads", 2},
          {"head_dim", 64},
          {"vocab_size", 32},
          {"max_position_embeddings", 769},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 10000.0},
          {"rope_scaling", nullptr},
          {"attention_bias", false},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", true},
          {"use_sliding_window", false},
          {"sliding_window", nullptr},
          {"bos_token_id", 1},
          {"eos_token_id", {2, 5}},
          {"torch_dtype", "bfloat16"}};
}

engine::ModelConfig read(const Json& json, const std::string& generation = "") {
  const testing::Scratch folder;
  std::ofstream(folder / "config.json") << json.dump();
  if (!generation.empty()) std::ofstream(folder / "generation_config.json") << generation;
  return engine::read_config(folder / "");
}

void refuses(const std::string& key, const Json& value, const std::string& words = "expected") {
  CAPTURE(key, value.dump());
  Json json = qwen3();
  json[key] = value;
  CHECK_THROWS_WITH(read(json), Contains("config.json: " + key + " is " + value.dump()) && Contains(words));
}

}  // namespace

TEST_CASE("a Qwen3 configuration is read") {
  const engine::ModelConfig config = read(qwen3());
  CHECK(config.hidden_size == 384);
  CHECK(config.intermediate_size == 896);
  CHECK(config.layers == 8);
  CHECK(config.heads == 6);
  CHECK(config.kv_heads == 2);
  CHECK(config.head_dim == 64);
  CHECK(config.vocab_size == 32);
  CHECK(config.max_positions == 769);
  CHECK(config.rope_theta == 10000.0F);
  CHECK(config.rms_norm_eps == 1e-6F);
  CHECK(config.tie_word_embeddings);
  CHECK(config.bos_token == 1);
  CHECK(config.is_eos(2));
  CHECK(config.is_eos(5));
  CHECK_FALSE(config.is_eos(1));
}

TEST_CASE("the places where a key may be are all looked at") {
  Json json = qwen3();
  json.erase("rope_theta");
  json["rope_parameters"] = {{"rope_theta", 1e6}, {"rope_type", "default"}};
  json.erase("head_dim");
  json.erase("num_key_value_heads");
  json["eos_token_id"] = 2;
  const engine::ModelConfig config = read(json, R"({"eos_token_id": [3]})");
  CHECK(config.rope_theta == 1e6F);
  CHECK(config.head_dim == 64);
  CHECK(config.kv_heads == 6);
  CHECK(config.is_eos(2));
  CHECK(config.is_eos(3));
}

TEST_CASE("published configurations are read as they are") {
  const Json qwen3_8b = Json::parse(R"({"architectures": ["Qwen3ForCausalLM"], "attention_bias": false,
    "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu",
    "hidden_size": 4096, "initializer_range": 0.02, "intermediate_size": 12288, "max_position_embeddings": 40960,
    "max_window_layers": 36, "model_type": "qwen3", "num_attention_heads": 32, "num_hidden_layers": 36,
    "num_key_value_heads": 8, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000,
    "sliding_window": null, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
    "transformers_version": "4.51.0", "use_cache": true, "use_sliding_window": false, "vocab_size": 151936})");
  const engine::ModelConfig a =
      read(qwen3_8b, R"({"bos_token_id": 151643, "do_sample": true, "eos_token_id": [151645, 151643], "top_k": 20})");
  CHECK(a.architecture == engine::Architecture::kQwen3);
  CHECK(a.head_dim == 128);
  CHECK(a.rope_theta == 1e6F);
  CHECK(a.is_eos(151645));
  CHECK(a.is_eos(151643));
  const Json r1_distill_7b = Json::parse(R"({"architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0,
    "bos_token_id": 151643, "eos_token_id": 151643, "hidden_act": "silu", "hidden_size": 3584,
    "initializer_range": 0.02, "intermediate_size": 18944, "max_position_embeddings": 131072,
    "max_window_layers": 28, "model_type": "qwen2", "num_attention_heads": 28, "num_hidden_layers": 28,
    "num_key_value_heads": 4, "rms_norm_eps": 1e-06, "rope_theta": 10000, "sliding_window": 4096,
    "tie_word_embeddings": false, "torch_dtype": "bfloat16", "transformers_version": "4.44.0", "use_cache": true,
    "use_mrope": false, "use_sliding_window": false, "vocab_size": 152064})");
  const engine::ModelConfig b = read(r1_distill_7b);
  CHECK(b.architecture == engine::Architecture::kQwen2);
  CHECK(b.head_dim == 128);
  CHECK(b.max_positions == 131072);
  CHECK(b.rope_theta == 10000.0F);
  Json newer = r1_distill_7b;  // as later versions of transformers save it
  newer.erase("rope_theta");
  newer.erase("torch_dtype");
  newer["dtype"] = "bfloat16";
  newer["rope_parameters"] = {{"rope_theta", 10000}, {"rope_type", "default"}};
  newer["layer_types"] = std::vector<std::string>(28, "full_attention");
  CHECK(read(newer).rope_theta == 10000.0F);
  newer["num_attention_heads"] = 24;
  CHECK_THROWS_WITH(read(newer), Contains("num_attention_heads is 24, expected a divisor of hidden_size, 3584"));
}

TEST_CASE("what the engine lacks is refused by name") {
  refuses("model_type", "llama", "\"qwen2\" or \"qwen3\"");
  refuses("model_type", "qwen3_moe", "\"qwen3\"");
  refuses("num_experts", 8, "mixture-of-experts");
  refuses("attention_bias", true, "false");
  refuses("hidden_act", "gelu", "\"silu\"");
  refuses("use_sliding_window", true, "false");
  refuses("layer_types", {"full_attention", "sliding_attention"}, "full_attention");
  Json json = qwen3();
  json["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4.0}};
  CHECK_THROWS_WITH(read(json), Contains("rope_scaling: rope_type is \"yarn\", expected \"default\""));
}

TEST_CASE("values that make no sense are refused by name") {
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
                          "num_key_value_heads", "head_dim", "max_position_embeddings"}) {
    for (const Json& value : {Json(0), Json(-1), Json(1.5), Json("8"), Json(std::int64_t{1} << 40)})
      refuses(key, value);
  }
  refuses("num_key_value_heads", 4, "a divisor of num_attention_heads");
  refuses("head_dim", 63, "even");
  refuses("rms_norm_eps", 0);
  refuses("rope_theta", "big");
  refuses("tie_word_embeddings", 1);
  refuses("eos_token_id", 32, "0..31");
  refuses("eos_token_id", {2, -1}, "0..31");
  refuses("bos_token_id", "a", "0..31");
  Json json = qwen3();
  json.erase("hidden_size");
  CHECK_THROWS_WITH(read(json), Contains("hidden_size is missing"));
}

TEST_CASE("a configuration that cannot be read is refused by path") {
  CHECK_THROWS_WITH(engine::read_config("/nowhere"), Contains("/nowhere/config.json: cannot be opened"));
  CHECK_THROWS_WITH(read(Json::array({1})), Contains("config.json: not valid JSON, expected one object"));
}
