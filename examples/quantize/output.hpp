// The new checkpoint on disk: OUT holds no checkpoint before everything is written.
#pragma once

#include <filesystem>

#include <nlohmann/json.hpp>

#include "options.hpp"
#include "plan.hpp"

namespace quantize {

// A folder that disappears if commit() is not reached. It lies beside OUT and becomes OUT, or, where OUT is an empty
// folder, in OUT, and its files move there.
class StagedFolder {
 public:
  // Throws reset::Error if `target` is the folder of the input, is no folder, or is not empty.
  StagedFolder(const std::filesystem::path& target, const std::filesystem::path& input);
  ~StagedFolder();
  StagedFolder(const StagedFolder&) = delete;
  StagedFolder& operator=(const StagedFolder&) = delete;

  const std::filesystem::path& path() const { return staging_; }
  void commit();

 private:
  bool exists_ = false;
  std::filesystem::path target_;
  std::filesystem::path staging_;
};

// The config.json of the input with the quantisation in it. Throws reset::Error if it is no JSON object.
nlohmann::ordered_json make_config(const Options& options, const Plan& plan);

// Writes config.json, hf_quant_config.json for ModelOpt's readers, and copies the settings of the tokenizer, of what
// prepares the input and of the generation.
void write_companions(const Options& options, const Plan& plan, const nlohmann::ordered_json& config,
                      const std::filesystem::path& folder);

void write_json(const std::filesystem::path& path, const nlohmann::ordered_json& json);

}  // namespace quantize
