#include <string>
#include <vector>

#include <reset/io/quantization_config.hpp>

#include "io/support.hpp"
#include "support/catch.hpp"

using io_test::message_of;
using reset::CheckpointConvention;
using reset::QuantizationConfig;

namespace {

QuantizationConfig parse(const std::string& text) { return QuantizationConfig::parse(text, "config.json"); }

std::string message_for(const std::string& value) {
  return message_of([&] { parse("{\"quantization_config\":" + value + "}"); });
}

std::vector<std::string> excluded(const QuantizationConfig& config, const std::vector<std::string>& names) {
  std::vector<std::string> result;
  for (const std::string& name : names) {
    if (config.excludes(name)) result.push_back(name);
  }
  return result;
}

}  // namespace

TEST_CASE("compressed-tensors' configuration") {
  const QuantizationConfig config = parse(R"({"model_type":"qwen3","quantization_config":{
    "config_groups":{"group_0":{"format":"nvfp4-pack-quantized","targets":["Linear"],"output_activations":null,
      "input_activations":{"dynamic":"local","group_size":16,"num_bits":4,"strategy":"tensor_group","type":"float"},
      "weights":{"dynamic":false,"group_size":16,"num_bits":4,"strategy":"tensor_group","type":"float"}}},
    "format":"nvfp4-pack-quantized","ignore":["lm_head","re:.*mlp\\.gate$","re:visual"],
    "kv_cache_scheme":null,"quant_method":"compressed-tensors"}})");
  CHECK(config.declared());
  CHECK(config.convention() == CheckpointConvention::kCompressedTensors);
  CHECK(config.other_scheme().empty());
  CHECK(config.exclusions() == std::vector<std::string>{"lm_head", "re:.*mlp\\.gate$", "re:visual"});
  // Names match whole, expressions from the start.
  CHECK(excluded(config, {"lm_head", "lm_head.x", "model.lm_head", "model.layers.3.mlp.gate",
                          "model.layers.3.mlp.gate_proj", "mlpxgate", "visual.blocks.0.fc1", "model.visual"}) ==
        std::vector<std::string>{"lm_head", "model.layers.3.mlp.gate", "visual.blocks.0.fc1"});
}

TEST_CASE("ModelOpt's configuration, in each of the three places it has had") {
  const std::vector<std::string> texts = {
      R"({"producer":{"name":"modelopt"},"quantization":{"quant_algo":"NVFP4","kv_cache_quant_algo":"FP8","group_size":16,
          "exclude_modules":["lm_head","model.layers.0*","*.gate","model.layers.1?.mlp"]}})",
      R"({"quantization_config":{"quant_method":"modelopt_fp4","quant_algo":"NVFP4","group_size":16,
          "exclude_modules":["lm_head","model.layers.0*","*.gate","model.layers.1?.mlp"]}})",
      R"({"quantization_config":{"config_groups":{"group_0":{"input_activations":{"group_size":16,"num_bits":4},
          "weights":{"group_size":16,"num_bits":4,"type":"float"},"targets":["Linear"]}},
          "ignore":["lm_head","model.layers.0*","*.gate","model.layers.1?.mlp"],
          "quant_algo":"NVFP4","quant_method":"modelopt"}})"};
  for (const std::string& text : texts) {
    const QuantizationConfig config = parse(text);
    CHECK(config.convention() == CheckpointConvention::kModelOpt);
    // A pattern holds for the modules inside the one it names, and only for whole names.
    CHECK(
        excluded(config, {"lm_head", "xlm_head", "lm_head2", "model.layers.0.self_attn.q_proj", "model.layers.01.mlp",
                          "model.layers.1.self_attn.q_proj", "model.layers.1.mlp.gate", "model.layers.1.mlp.gate_proj",
                          "model.layers.10.mlp.up_proj", "model.layers.1.mlp.up_proj"}) ==
        std::vector<std::string>{"lm_head", "model.layers.0.self_attn.q_proj", "model.layers.01.mlp",
                                 "model.layers.1.mlp.gate", "model.layers.10.mlp.up_proj"});
  }
}

TEST_CASE("wildcards") {
  using reset::detail::matches_wildcards;
  for (const auto& [pattern, text] : std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                                                      {"*", ""},
                                                                                      {"*", "abc"},
                                                                                      {"a*c", "abbbc"},
                                                                                      {"a*b*c", "aXbYbZc"},
                                                                                      {"**a", "ba"},
                                                                                      {"?b?", "abc"},
                                                                                      {"*?", "a"}}) {
    INFO(pattern << " " << text);
    CHECK(matches_wildcards(pattern, text));
  }
  for (const auto& [pattern, text] : std::vector<std::pair<std::string, std::string>>{{"", "a"},
                                                                                      {"a", ""},
                                                                                      {"?", ""},
                                                                                      {"a*c", "abcd"},
                                                                                      {"a*b*c", "acb"},
                                                                                      {"*a", "ab"},
                                                                                      {"?*?", "a"},
                                                                                      {"a.c", "abc"}}) {
    INFO(pattern << " " << text);
    CHECK_FALSE(matches_wildcards(pattern, text));
  }
  // Exponential in a naive matcher.
  std::string stars;
  for (int i = 0; i < 200; ++i) stars += "*a";
  CHECK_FALSE(matches_wildcards(stars + "b", std::string(5000, 'a')));
}

TEST_CASE("a checkpoint that declares nothing, or something else") {
  for (const char* text : {"{}", R"({"quantization_config":null})", R"({"hidden_size":64})", "[]", "3"}) {
    const QuantizationConfig config = parse(text);
    CHECK_FALSE(config.declared());
    CHECK_FALSE(config.convention());
    CHECK_FALSE(config.excludes("lm_head"));
  }
  const std::vector<std::pair<std::string, std::string>> others = {
      {R"({"quant_method":"fp8"})", "fp8"},
      {R"({"quant_method":"modelopt","quant_algo":"FP8"})", "FP8"},
      {R"({"quant_algo":"NVFP4_AWQ"})", "NVFP4_AWQ"},
      {R"({"quant_algo":"MIXED_PRECISION","ignore":3})", "MIXED_PRECISION"},
      {R"({"quant_method":"compressed-tensors","format":"pack-quantized"})", "pack-quantized"},
      {R"({"quant_method":"compressed-tensors","format":"mixed-precision","config_groups":{
           "a":{"format":"nvfp4-pack-quantized"},"b":{"format":"float-quantized"}}})",
       "mixed-precision"},
      {R"({"bits":4})", "unnamed"}};
  for (const auto& [value, scheme] : others) {
    const QuantizationConfig config = parse("{\"quantization_config\":" + value + "}");
    CHECK(config.declared());
    CHECK_FALSE(config.convention());
    CHECK(config.other_scheme() == scheme);
  }
  CHECK(
      parse(R"({"quantization_config":{"quant_method":"compressed-tensors","format":"mixed-precision","config_groups":{
           "a":{"format":"nvfp4-pack-quantized"},"b":{"format":"nvfp4-pack-quantized"}}}})")
          .convention() == CheckpointConvention::kCompressedTensors);
}

TEST_CASE("an expression that is not understood matters where the answer hangs on it") {
  const QuantizationConfig config =
      parse(R"j({"quantization_config":{"quant_method":"compressed-tensors","format":"nvfp4-pack-quantized",
          "ignore":["re:(?!model)","lm_head","re:(","re:visual"]}})j");
  CHECK(config.convention() == CheckpointConvention::kCompressedTensors);
  CHECK(config.exclusions() == std::vector<std::string>{"re:(?!model)", "lm_head", "re:(", "re:visual"});
  CHECK(config.excludes("lm_head"));
  CHECK(config.excludes("visual.blocks.0"));
  CHECK(config.certainly_excludes("lm_head"));
  CHECK_FALSE(config.certainly_excludes("model.layers.0.mlp.up_proj"));
  const std::string expected =
      "config.json: regular expression \"(?!model)\" is unsupported, expected no group that begins with '(?' except "
      "'(?:'";
  const QuantizationConfig copy = config;
  CHECK(message_of([&] { config.excludes("model.layers.0.mlp.up_proj"); }) == expected);
  CHECK(message_of([&] { copy.excludes("model.layers.0.mlp.up_proj"); }) == expected);
}

TEST_CASE("numbers that Python writes and JSON lacks") {
  const QuantizationConfig config =
      parse(R"({"rope_scaling":{"low":-Infinity,"high":Infinity,"x":[NaN,NaN , -Infinity]},
    "a \\\" NaN":"Infinity, -Infinity, \" NaN \\","quantization_config":{"quant_algo":"NVFP4","group_size":16,
    "ignore":["NaN","Infinity","a\"-Infinity"],"scale":NaN},"last":Infinity})");
  CHECK(config.convention() == CheckpointConvention::kModelOpt);
  CHECK(config.exclusions() == std::vector<std::string>{"NaN", "Infinity", "a\"-Infinity"});
  CHECK_FALSE(parse("NaN").declared());
  for (const char* text : {"{\"a\":1NaN}", "{\"a\":NaN1}", "{\"a\":--Infinity}", "{\"a\":+Infinity}",
                           "{\"a\":- Infinity}", "{\"a\":nan}", "{\"a\":Infinity.0}", "{\"a\":-NaN}", "{\"a\":NaNNaN}",
                           "{\"a\":NaN NaN}", "{NaN:1}", "{\"a\":Infinit", "{\"a\":\"NaN", "{\"a\":\"\\", "{\"a\":-"}) {
    INFO(text);
    CHECK_THAT(message_of([&] { parse(text); }), Catch::Matchers::StartsWith("config.json: content is not JSON ("));
  }
}

TEST_CASE("malformed configurations are refused") {
  CHECK(message_for("3") == "config.json: quantization_config is 3, expected an object");
  CHECK(message_for(R"({"quant_algo":3})") == "config.json: quant_algo is 3, expected a string");
  CHECK(message_for(R"({"quant_algo":"NVFP4","group_size":32})") ==
        "config.json: quantization group_size is 32, expected 16");
  CHECK(message_for(R"({"quant_algo":"NVFP4","config_groups":{"g":{"weights":{"group_size":128}}}})") ==
        "config.json: config_groups \"g\" weights group_size is 128, expected 16");
  CHECK(message_for(R"({"quant_method":"compressed-tensors","format":"nvfp4-pack-quantized",
                        "config_groups":{"g":{"weights":{"group_size":"16"}}}})") ==
        "config.json: config_groups \"g\" weights group_size is \"16\", expected 16");
  CHECK(message_for(R"({"quant_algo":"NVFP4","ignore":"lm_head"})") ==
        "config.json: ignore is \"lm_head\", expected a list of module names");
  CHECK(message_for(R"({"quant_algo":"NVFP4","exclude_modules":[1]})") ==
        "config.json: exclude_modules is 1, expected a list of module names");
  CHECK(message_of([] { parse("{\"quantization_config\":" + std::string(100, '[')); }) ==
        "config.json: JSON nesting is deeper than 64 levels, expected at most 64 levels");
}

TEST_CASE("what the library writes it reads") {
  const std::vector<std::string> exclusions = {"lm_head", "model.embed_tokens"};
  for (const auto convention : {CheckpointConvention::kModelOpt, CheckpointConvention::kCompressedTensors}) {
    nlohmann::json root;
    for (const bool nvfp4_activations : {false, true}) {
      root["quantization_config"] = reset::quantization_config_json(convention, exclusions, nvfp4_activations);
      const QuantizationConfig config = parse(root.dump());
      CHECK(config.convention() == convention);
      CHECK(config.exclusions() == exclusions);
      const auto& inputs = root["quantization_config"]["config_groups"]["group_0"]["input_activations"];
      CHECK(inputs.is_null() != nvfp4_activations);
      if (nvfp4_activations) CHECK(inputs["group_size"] == 16);
    }
  }
  const QuantizationConfig config = parse(reset::hf_quant_config_json(exclusions).dump());
  CHECK(config.convention() == CheckpointConvention::kModelOpt);
  CHECK(config.exclusions() == exclusions);
  CHECK(reset::hf_quant_config_json(exclusions)["quantization"]["group_size"] == 16);
  CHECK(reset::hf_quant_config_json(exclusions)["quantization"]["quant_algo"] == "W4A16_NVFP4");
  CHECK(reset::hf_quant_config_json(exclusions, true)["quantization"]["quant_algo"] == "NVFP4");
}
