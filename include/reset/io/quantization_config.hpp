/// @file
/// What a checkpoint says of its own quantisation: `quantization_config` of config.json, or hf_quant_config.json.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <reset/io/convention.hpp>
#include <reset/io/detail/json.hpp>
#include <reset/io/detail/name_pattern.hpp>
#include <reset/version.hpp>

RESET_NAMESPACE_BEGIN

/// The quantisation that a checkpoint declares.
class QuantizationConfig {
 public:
  /// A checkpoint that declares none.
  QuantizationConfig() = default;

  /// Reads the text of a config.json (its `quantization_config`, as compressed-tensors or ModelOpt write it) or of an
  /// hf_quant_config.json (its `quantization`); messages call it `file`. A file without these declares nothing.
  ///
  /// Throws `Error` for text that is not JSON (a bare NaN or Infinity, as Python writes them, counts as null), for
  /// NVFP4 in groups other than 16, and for exclusions that are no list of strings. Another quantisation than NVFP4 is
  /// no error here: it is reported by `other_scheme()`.
  static QuantizationConfig parse(std::string_view text, std::string_view file) {
    const nlohmann::json root = detail::parse_python_json(text, file);
    const nlohmann::json* declared = detail::find_member(root, "quantization_config");
    if (declared == nullptr) declared = detail::find_member(root, "quantization");
    QuantizationConfig config;
    config.file_ = file;
    if (declared != nullptr && !declared->is_null()) config.read(*declared);
    return config;
  }

  /// What messages call the file that it was read from; empty for a checkpoint that declares none.
  const std::string& file() const noexcept { return file_; }

  /// Whether anything was declared.
  bool declared() const noexcept { return convention_ || !other_scheme_.empty(); }

  /// Who wrote the NVFP4 layers; nothing if none are declared.
  std::optional<CheckpointConvention> convention() const noexcept { return convention_; }

  /// The name of the quantisation if it is another than NVFP4 (such as "FP8"), else empty.
  const std::string& other_scheme() const noexcept { return other_scheme_; }

  /// The exclusions as they stand in the file.
  std::vector<std::string> exclusions() const {
    std::vector<std::string> texts;
    for (const detail::NamePattern& pattern : exclusions_) texts.push_back(pattern.text());
    return texts;
  }

  /// Whether the module of that name is declared as not quantised. Throws `Error` where that hangs on a regular
  /// expression that this library does not understand. ModelOpt's exclusions may hold the wildcards * and
  /// ?, and hold for what a module contains; those of compressed-tensors are whole names, or "re:" and a regular
  /// expression that matches at the start.
  bool excludes(std::string_view module) const {
    if (certainly_excludes(module)) return true;
    for (const detail::NamePattern& pattern : exclusions_) pattern.throw_if_not_understood();
    return false;
  }

  /// As `excludes`, but expressions that this library does not understand are passed over.
  bool certainly_excludes(std::string_view module) const {
    return std::any_of(exclusions_.begin(), exclusions_.end(),
                       [module](const detail::NamePattern& pattern) { return pattern.matches(module); });
  }

 private:
  void read(const nlohmann::json& declared) {
    if (!declared.is_object()) detail::fail(file_, "quantization_config", detail::describe(declared), "an object");
    const std::string method = detail::optional_string(declared, "quant_method", file_);
    const std::string algorithm = detail::optional_string(declared, "quant_algo", file_);
    if (method == "compressed-tensors") {
      read_compressed_tensors(declared);
    } else if (algorithm == "NVFP4" || algorithm == "W4A16_NVFP4") {
      convention_ = CheckpointConvention::kModelOpt;
      check_group_size(declared, "quantization");
      check_groups(declared);
    } else {
      other_scheme_ = !algorithm.empty() ? algorithm : !method.empty() ? method : "unnamed";
    }
    if (!convention_) return;
    read_exclusions(declared, "ignore");
    read_exclusions(declared, "exclude_modules");
  }

  void read_compressed_tensors(const nlohmann::json& declared) {
    constexpr std::string_view kFormat = "nvfp4-pack-quantized";
    const std::string format = detail::optional_string(declared, "format", file_);
    bool all = true;
    bool any = false;
    if (const nlohmann::json* groups = detail::find_member(declared, "config_groups"); groups != nullptr) {
      for (const nlohmann::json& group : *groups) {
        const std::string own = detail::optional_string(group, "format", file_);
        all = all && (own.empty() ? format : own) == kFormat;
        any = true;
      }
    }
    if (!all || (!any && format != kFormat)) {
      other_scheme_ = format.empty() ? "compressed-tensors" : format;
      return;
    }
    convention_ = CheckpointConvention::kCompressedTensors;
    check_groups(declared);
  }

  void check_groups(const nlohmann::json& declared) const {
    const nlohmann::json* groups = detail::find_member(declared, "config_groups");
    if (groups == nullptr) return;
    for (const auto& [name, group] : groups->items()) {
      const nlohmann::json* weights = detail::find_member(group, "weights");
      if (weights != nullptr) check_group_size(*weights, "config_groups " + detail::in_quotes(name) + " weights");
    }
  }

  void check_group_size(const nlohmann::json& object, const std::string& what) const {
    const nlohmann::json* size = detail::find_member(object, "group_size");
    if (size != nullptr && !size->is_null() && *size != kNvfp4BlockSize) {
      detail::fail(file_, what + " group_size", detail::describe(*size), "16");
    }
  }

  void read_exclusions(const nlohmann::json& declared, const char* key) {
    const nlohmann::json* list = detail::find_member(declared, key);
    if (list == nullptr || list->is_null()) return;
    if (!list->is_array()) detail::fail(file_, key, detail::describe(*list), "a list of module names");
    for (const nlohmann::json& entry : *list) {
      if (!entry.is_string()) detail::fail(file_, key, detail::describe(entry), "a list of module names");
      exclusions_.emplace_back(entry.get<std::string>(), *convention_, file_);
    }
  }

  std::string file_;
  std::optional<CheckpointConvention> convention_;
  std::string other_scheme_;
  std::vector<detail::NamePattern> exclusions_;
};

namespace detail {

/// ModelOpt's name for NVFP4 weights, with activations of 16 bits or NVFP4, too.
inline const char* modelopt_algorithm(bool nvfp4_activations) { return nvfp4_activations ? "NVFP4" : "W4A16_NVFP4"; }

}  // namespace detail

/// The value of `quantization_config` in the config.json of a checkpoint whose linear layers are NVFP4 except
/// `exclusions` (names of modules). Activations are left as they are, or, with `nvfp4_activations`, are NVFP4 too, with
/// the input scales that the checkpoint then holds.
inline nlohmann::json quantization_config_json(CheckpointConvention convention,
                                               const std::vector<std::string>& exclusions,
                                               bool nvfp4_activations = false) {
  nlohmann::json weights = {{"num_bits", 4}, {"type", "float"}, {"group_size", kNvfp4BlockSize}, {"dynamic", false}};
  nlohmann::json inputs;
  nlohmann::json config;
  if (convention == CheckpointConvention::kCompressedTensors) {
    weights.update({{"strategy", "tensor_group"}, {"symmetric", true}});
    config = {{"quant_method", "compressed-tensors"},
              {"format", "nvfp4-pack-quantized"},
              {"quantization_status", "compressed"}};
  } else {
    config = {{"quant_method", "modelopt"}, {"quant_algo", detail::modelopt_algorithm(nvfp4_activations)}};
  }
  if (nvfp4_activations) {
    inputs = weights;
    // In compressed-tensors' words: block scales as they come, within the tensor's fixed one.
    if (convention == CheckpointConvention::kCompressedTensors) inputs["dynamic"] = "local";
  }
  const nlohmann::json targets = nlohmann::json::array({"Linear"});
  config["config_groups"]["group_0"] = {{"targets", targets}, {"weights", weights}, {"input_activations", inputs}};
  config["ignore"] = exclusions;
  return config;
}

/// The hf_quant_config.json that ModelOpt's readers look for beside config.json; same meaning.
inline nlohmann::json hf_quant_config_json(const std::vector<std::string>& exclusions, bool nvfp4_activations = false) {
  const std::string version = std::to_string(RESET_VERSION_MAJOR) + "." + std::to_string(RESET_VERSION_MINOR) + "." +
                              std::to_string(RESET_VERSION_PATCH);
  nlohmann::json config;
  config["producer"] = {{"name", "reset"}, {"version", version}};
  config["quantization"] = {{"quant_algo", detail::modelopt_algorithm(nvfp4_activations)},
                            {"kv_cache_quant_algo", nullptr},
                            {"group_size", 16}};
  config["quantization"]["exclude_modules"] = exclusions;
  return config;
}

RESET_NAMESPACE_END
