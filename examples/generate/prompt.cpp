#include "prompt.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include <nlohmann/json.hpp>
#include <reset/status.hpp>

#include "text_encoder.hpp"

namespace generate {
namespace {

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path)) {
    throw reset::Error("--prompt-file is " + path + ", which cannot be opened, expected a file");
  }
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The token that every text begins with, or none. It is the tokenizer's: config.json may name another one, as that of
// R1-Distill-Qwen does.
std::optional<std::int32_t> first_token(const std::filesystem::path& model, const reset::Tokenizer& tokenizer) {
  const std::filesystem::path path = model / "tokenizer_config.json";
  if (!std::filesystem::exists(path)) return std::nullopt;
  std::ifstream file(path);
  const nlohmann::json json = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw reset::Error(path.string() + ": not valid JSON, expected one object");
  if (json.value("add_bos_token", nlohmann::json()) != true) return std::nullopt;
  const nlohmann::json bos = json.value("bos_token", nlohmann::json());
  const nlohmann::json text = bos.is_object() ? bos.value("content", nlohmann::json()) : bos;
  const auto token = text.is_string() ? tokenizer.added_token(text.get<std::string>()) : std::nullopt;
  if (!token) throw reset::Error(path.string() + ": bos_token is " + bos.dump() + ", expected an added token");
  return token;
}

std::string ids_text(const std::vector<std::int32_t>& ids) {
  std::string text;
  for (const std::int32_t id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
  return text;
}

Prompt encode(const Options& options, const reset::Tokenizer& tokenizer) {
  if (!options.prompt_tokens.empty()) return {ids_text(options.prompt_tokens), options.prompt_tokens};
  Prompt prompt;
  prompt.text = options.prompt ? *options.prompt : read_text(options.prompt_file);
  prompt.tokens = engine::TextEncoder(options.model + "/tokenizer.json", tokenizer).encode(prompt.text);
  const auto first = first_token(options.model, tokenizer);
  const bool begun = !prompt.tokens.empty() && prompt.tokens.front() == first;
  if (first && !begun) prompt.tokens.insert(prompt.tokens.begin(), *first);
  return prompt;
}

}  // namespace

Prompt read_prompt(const Options& options, const reset::Tokenizer& tokenizer, const engine::ModelConfig& config) {
  Prompt prompt = encode(options, tokenizer);
  if (prompt.tokens.empty()) throw reset::Error("the prompt is empty, expected at least one token");
  for (const std::int32_t token : prompt.tokens) {
    if (token < config.vocab_size) continue;
    throw reset::Error("a token of the prompt is " + std::to_string(token) + ", expected 0.." +
                       std::to_string(config.vocab_size - 1) + " (vocab_size)");
  }
  return prompt;
}

}  // namespace generate
