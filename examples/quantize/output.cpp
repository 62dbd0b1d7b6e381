#include "output.hpp"

#include <unistd.h>

#include <fstream>
#include <system_error>
#include <vector>

#include <reset/io/quantization_config.hpp>
#include <reset/status.hpp>

namespace quantize {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = "config.json";

fs::path folder_of(const fs::path& input) {
  if (fs::is_directory(input)) return input;
  return input.has_parent_path() ? input.parent_path() : fs::path(".");
}

}  // namespace

StagedFolder::StagedFolder(const fs::path& target, const fs::path& input) {
  const auto refuse = [&](const std::string& finding, const std::string& expected) {
    throw reset::Error(target.string() + ": " + finding + ", expected " + expected);
  };
  const std::string partial = ".partial-" + std::to_string(getpid());
  exists_ = fs::exists(target);
  fs::path staging;
  if (exists_) {
    target_ = fs::canonical(target);  // through links
    if (fs::equivalent(target_, folder_of(input))) refuse("is the folder of the input", "another folder");
    if (!fs::is_directory(target_)) refuse("is a file", "a new or empty folder");
    if (!fs::is_empty(target_)) refuse("is not empty", "a new or empty folder");
    staging = target_ / partial;  // a folder that may be a mount point cannot be renamed over
  } else {
    target_ = fs::absolute(target);
    if (!target_.has_filename()) target_ = target_.parent_path();  // "out/"
    if (fs::is_symlink(target_)) refuse("is a link to nothing", "a new or empty folder");
    if (!fs::is_directory(target_.parent_path())) refuse("lies in a folder that does not exist", "an existing parent");
    staging = target_;
    staging += partial;
  }
  if (fs::exists(staging)) refuse(staging.string() + " is left over from an earlier run", "that it is removed");
  std::error_code error;
  if (!fs::create_directory(staging, error)) {
    refuse(staging.string() + " cannot be created (" + error.message() + ")", "a folder that can be written to");
  }
  staging_ = staging;
}

StagedFolder::~StagedFolder() {
  std::error_code ignored;
  if (!staging_.empty()) fs::remove_all(staging_, ignored);
}

void StagedFolder::commit() {
  if (exists_) {
    const std::vector<fs::path> files(fs::directory_iterator(staging_), fs::directory_iterator{});
    for (const fs::path& file : files) {
      if (file.filename() != kConfig) fs::rename(file, target_ / file.filename());
    }
    fs::rename(staging_ / kConfig, target_ / kConfig);  // last: without it, nobody takes the folder for a model
    fs::remove(staging_);
  } else {
    fs::rename(staging_, target_);
  }
  staging_.clear();
}

void write_json(const fs::path& path, const nlohmann::ordered_json& json) {
  std::ofstream file(path);
  file << json.dump(2) << '\n';
  if (!file.flush()) throw reset::Error(path.string() + ": cannot be written");
}

nlohmann::ordered_json make_config(const Options& options, const Plan& plan) {
  const fs::path from = folder_of(options.input) / kConfig;
  nlohmann::ordered_json config = nlohmann::ordered_json::object();
  if (fs::exists(from)) {
    std::ifstream file(from);
    config = nlohmann::ordered_json::parse(file, nullptr, /*allow_exceptions=*/false);
    if (!config.is_object()) throw reset::Error(from.string() + ": not valid JSON, expected one object");
  }
  config["quantization_config"] =
      reset::quantization_config_json(convention_of(options.format), plan.exclusions, !options.input_scales.empty());
  return config;
}

void write_companions(const Options& options, const Plan& plan, const nlohmann::ordered_json& config,
                      const fs::path& folder) {
  const fs::path from = folder_of(options.input);
  write_json(folder / kConfig, config);
  if (options.format == Format::kModelOpt)
    write_json(folder / "hf_quant_config.json",
               reset::hf_quant_config_json(plan.exclusions, !options.input_scales.empty()));
  for (const char* name :
       {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "vocab.json", "merges.txt", "generation_config.json", "preprocessor_config.json", "processor_config.json",
        "chat_template.json", "chat_template.jinja"}) {
    if (fs::exists(from / name)) fs::copy_file(from / name, folder / name);
  }
}

}  // namespace quantize
