#include "model.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include <reset/io/tokenizer.hpp>

#include "gpu.hpp"

namespace generate {
namespace {

std::string name_of(const std::string& directory) { return std::filesystem::canonical(directory).filename().string(); }

std::string describe(const engine::ModelConfig& config, const std::string& weights) {
  const bool qwen2 = config.architecture == engine::Architecture::kQwen2;
  char text[160];
  std::snprintf(text, sizeof text, "%s architecture, %lld layers, %s", qwen2 ? "Qwen2" : "Qwen3",
                static_cast<long long>(config.layers), weights.c_str());
  return text;
}

std::string describe(const engine::Weights& weights) {
  char text[80];
  std::snprintf(text, sizeof text, "%.1f M weights in %s", static_cast<double>(weights.parameters()) / 1e6,
                weights.has_nvfp4() ? "NVFP4" : "16 or 32 bits");
  return describe(weights.config, text);
}

Model read_checkpoint(const Options& options) {
  Model model;
  model.weights = std::make_unique<engine::Weights>(options.model);
  model.config = model.weights->config;
  model.name = name_of(options.model);
  model.description = describe(*model.weights);
  const reset::Tokenizer tokenizer = reset::read_tokenizer(options.model + "/tokenizer.json");
  model.prompt = read_prompt(options, tokenizer, model.config);
  model.vocabulary = tokenizer.vocabulary;
  model.vocabulary.resize(std::max(model.vocabulary.size(), static_cast<std::size_t>(model.config.vocab_size)));
  return model;
}

// Numbers, and as many paragraphs among them that the detector has something to do.
reset::Vocabulary numbers(std::int64_t size) {
  constexpr std::int64_t kParagraph = 64;
  reset::Vocabulary vocabulary;
  for (std::int64_t id = 0; id < size; ++id) {
    vocabulary.set(static_cast<std::size_t>(id), std::to_string(id) + (id % kParagraph == 0 ? "\n\n" : " "));
  }
  return vocabulary;
}

Model make_up_model(const Options& options) {
  constexpr std::int64_t kPrompt = 512;
  Model model;
  model.name = options.random_weights;
  model.config = published_config(options.random_weights);
  model.description =
      describe(model.config, options.nvfp4_head.value_or(false) ? "random weights in NVFP4"
                                                                : "random weights in NVFP4, head in BF16");
  model.vocabulary = numbers(model.config.vocab_size);
  Options prompted = options;
  for (std::int64_t i = 0; options.prompt_tokens.empty() && i < kPrompt; ++i) {
    prompted.prompt_tokens.push_back(static_cast<std::int32_t>(i * 7919 % model.config.vocab_size));
  }
  model.prompt = read_prompt(prompted, reset::Tokenizer(), model.config);
  return model;
}

}  // namespace

Model read_model(const Options& options) {
  return options.random_weights.empty() ? read_checkpoint(options) : make_up_model(options);
}

}  // namespace generate
