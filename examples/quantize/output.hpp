// The new checkpoint on disk: nothing has the name OUT before everything is in it.
#pragma once

#include <filesystem>

#include <nlohmann/json.hpp>

#include "options.hpp"
#include "plan.hpp"

namespace quantize {

// A folder beside OUT that becomes OUT in commit(), and disappears if that is not reached.
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
  std::filesystem::path target_;
  std::filesystem::path staging_;
};

// Writes config.json with the quantisation, hf_quant_config.json for ModelOpt's readers, and copies the tokenizer and
// generation settings.
void write_companions(const Options& options, const Plan& plan, const std::filesystem::path& folder);

void write_json(const std::filesystem::path& path, const nlohmann::ordered_json& json);

}  // namespace quantize
