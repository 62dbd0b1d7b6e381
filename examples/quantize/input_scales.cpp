#include "input_scales.hpp"

#include <fstream>

#include <nlohmann/json.hpp>
#include <reset/status.hpp>

namespace quantize {

InputScales::InputScales(const std::filesystem::path& path) : path_(path.string()) {
  std::ifstream file(path);
  if (!file) throw reset::Error("--input-scales is " + path_ + ", which cannot be opened, expected a JSON file");
  const nlohmann::json json = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) throw reset::Error(path_ + ": not valid JSON, expected one object of numbers by layer");
  for (const auto& [module, value] : json.items()) {
    const reset::GlobalScale scale{value.is_number() ? value.get<float>() : 0.0F};
    if (!is_valid(scale)) {
      throw reset::Error(path_ + ": " + module + " is " + value.dump() + ", expected a positive, normal float");
    }
    scales_[module] = scale;
  }
}

reset::GlobalScale InputScales::of(const std::string& module) const {
  const auto found = scales_.find(module);
  if (found == scales_.end()) {
    throw reset::Error(path_ + ": " + module + " is missing, expected a scale for every layer that is quantised");
  }
  return found->second;
}

}  // namespace quantize
