#include "output.hpp"

#include <unistd.h>

#include <fstream>
#include <system_error>

#include <reset/io/quantization_config.hpp>
#include <reset/status.hpp>

namespace quantize {
namespace {

namespace fs = std::filesystem;

fs::path folder_of(const fs::path& input) {
  if (fs::is_directory(input)) return input;
  return input.has_parent_path() ? input.parent_path() : fs::path(".");
}

}  // namespace

StagedFolder::StagedFolder(const fs::path& target, const fs::path& input) : target_(fs::absolute(target)) {
  target_ = target_.lexically_normal();
  if (!target_.has_filename()) target_ = target_.parent_path();  // "out/"
  const auto refuse = [&](const std::string& finding, const std::string& expected) {
    throw reset::Error(target.string() + ": " + finding + ", expected " + expected);
  };
  if (fs::exists(target_)) {
    if (fs::equivalent(target_, folder_of(input))) refuse("is the folder of the input", "another folder");
    if (!fs::is_directory(target_)) refuse("is a file", "a new or empty folder");
    if (!fs::is_empty(target_)) refuse("is not empty", "a new or empty folder");
  }
  if (!fs::is_directory(target_.parent_path())) refuse("lies in a folder that does not exist", "an existing parent");
  staging_ = target_;
  staging_ += ".partial-" + std::to_string(getpid());
  std::error_code error;
  if (!fs::create_directory(staging_, error)) refuse("cannot be created beside (" + error.message() + ")", "success");
}

StagedFolder::~StagedFolder() {
  std::error_code ignored;
  if (!staging_.empty()) fs::remove_all(staging_, ignored);
}

void StagedFolder::commit() {
  fs::rename(staging_, target_);
  staging_.clear();
}

void write_json(const fs::path& path, const nlohmann::ordered_json& json) {
  std::ofstream file(path);
  file << json.dump(2) << '\n';
  if (!file.flush()) throw reset::Error(path.string() + ": cannot be written");
}

void write_companions(const Options& options, const Plan& plan, const fs::path& folder) {
  const fs::path from = folder_of(options.input);
  const bool modelopt = options.format == Format::kModelOpt;
  const auto convention =
      modelopt ? reset::CheckpointConvention::kModelOpt : reset::CheckpointConvention::kCompressedTensors;
  nlohmann::ordered_json config = nlohmann::ordered_json::object();
  if (fs::exists(from / "config.json")) {
    std::ifstream file(from / "config.json");
    config = nlohmann::ordered_json::parse(file, nullptr, /*allow_exceptions=*/false);
    if (!config.is_object())
      throw reset::Error((from / "config.json").string() + ": not valid JSON, expected one object");
  }
  config["quantization_config"] = reset::quantization_config_json(convention, plan.exclusions);
  write_json(folder / "config.json", config);
  if (modelopt) write_json(folder / "hf_quant_config.json", reset::hf_quant_config_json(plan.exclusions));
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                           "vocab.json", "merges.txt", "generation_config.json", "chat_template.jinja"}) {
    if (fs::exists(from / name)) fs::copy_file(from / name, folder / name);
  }
}

}  // namespace quantize
