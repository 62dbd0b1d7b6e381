#include "plan.hpp"

#include <filesystem>
#include <string_view>

#include <nlohmann/json.hpp>
#include <reset/io/quantization_config.hpp>
#include <reset/nvfp4/layout.hpp>
#include <reset/status.hpp>

#include "input_scales.hpp"

namespace quantize {
namespace {

constexpr std::string_view kWeight = ".weight";

bool is_float(reset::DType dtype) {
  return dtype == reset::DType::kBF16 || dtype == reset::DType::kF16 || dtype == reset::DType::kF32;
}

std::string module_of(const std::string& name) {
  const bool weight =
      name.size() > kWeight.size() && std::string_view(name).substr(name.size() - kWeight.size()) == kWeight;
  return weight ? name.substr(0, name.size() - kWeight.size()) : "";
}

// Why the weight of a layer stays as it is, or nothing.
std::string reason_to_keep(const PlannedTensor& planned, const Options& options) {
  const reset::TensorView& tensor = *planned.tensor;
  if (planned.module.empty()) return "not the weight of a layer";
  if (tensor.shape.size() != 2) return "not a matrix";
  if (!is_float(tensor.dtype)) return std::string(dtype_name(tensor.dtype)) + ", not BF16, FP16 or FP32";
  for (const std::string& pattern : options.exclude) {
    if (matches(pattern, planned.module)) return "excluded by " + pattern;
  }
  if (tensor.shape[0] == 0 || tensor.shape[1] == 0) return "empty";
  if (tensor.shape[1] % reset::kNvfp4BlockSize != 0) {
    return "K = " + std::to_string(tensor.shape[1]) + " is not a multiple of 16";
  }
  return "";
}

void refuse_quantised(const reset::Checkpoint& checkpoint, const Options& options) {
  const auto refuse = [&](const std::string& finding) {
    throw reset::Error(options.input.string() + ": " + finding + ", expected weights that are not quantised");
  };
  if (checkpoint.quantization().declared()) refuse("the configuration declares a quantisation");
  for (const std::string& name : checkpoint.names()) {
    const std::string module = name.substr(0, name.rfind('.'));
    if (checkpoint.is_nvfp4(module)) refuse(module + " is NVFP4");
  }
}

PlannedShard& shard_of(Plan& plan, const reset::TensorView& tensor, const Options& options) {
  const std::filesystem::path path(tensor.file);
  const bool single = std::filesystem::is_regular_file(options.input);
  const std::string name = single ? "model.safetensors" : path.filename().string();
  for (PlannedShard& shard : plan.shards) {
    if (shard.file_name == name) return shard;
  }
  plan.shards.push_back({name, {}});
  return plan.shards.back();
}

// ModelOpt's exclusion of a module holds for what it contains, too, and any of its characters may be a wildcard: no
// reader could use a quantised layer that such an entry names.
void refuse_ambiguous(const Plan& plan, const Options& options) {
  const auto declared = [&](const std::vector<std::string>& exclusions) {
    const nlohmann::json config = {
        {"quantization_config", reset::quantization_config_json(convention_of(options.format), exclusions)}};
    return reset::QuantizationConfig::parse(config.dump(), "config.json of " + options.output.string());
  };
  const reset::QuantizationConfig all = declared(plan.exclusions);
  for (const PlannedShard& shard : plan.shards) {
    for (const PlannedTensor& planned : shard.tensors) {
      if (!planned.quantised() || !all.excludes(planned.module)) continue;
      for (const std::string& exclusion : plan.exclusions) {
        if (!declared({exclusion}).excludes(planned.module)) continue;
        throw reset::Error(options.input.string() + ": " + planned.module + " is to be quantised, but \"" + exclusion +
                           "\" is not, and written as an exclusion that means both, expected --exclude \"" +
                           planned.module + "\" or the other --format");
      }
    }
  }
}

}  // namespace

std::string shape_text(const reset::TensorView& tensor) {
  std::string text;
  for (const std::int64_t extent : tensor.shape) text += (text.empty() ? "" : " x ") + std::to_string(extent);
  return text.empty() ? "scalar" : text;
}

Plan make_plan(const reset::Checkpoint& checkpoint, const Options& options) {
  refuse_quantised(checkpoint, options);
  std::optional<InputScales> input_scales;
  if (!options.input_scales.empty()) input_scales.emplace(options.input_scales);
  Plan plan;
  bool any = false;
  bool head = false;
  for (const std::string& name : checkpoint.names()) {
    const reset::TensorView& tensor = checkpoint.tensor(name);
    PlannedTensor planned{&tensor, module_of(name), ""};
    planned.kept = reason_to_keep(planned, options);
    if (planned.quantised() && input_scales) planned.input_scale = input_scales->of(planned.module);
    any = any || planned.quantised();
    head = head || (planned.quantised() && matches(kHead, planned.module));
    plan.bytes += tensor.bytes;
    if (!planned.quantised() && !planned.module.empty() && tensor.shape.size() == 2) {
      plan.exclusions.push_back(planned.module);
    }
    shard_of(plan, tensor, options).tensors.push_back(std::move(planned));
  }
  if (!any) {
    throw reset::Error(options.input.string() +
                       ": no layer to quantise, expected at least one matrix of BF16, FP16 or FP32 with K a multiple "
                       "of 16 that is not excluded");
  }
  if (options.nvfp4_head && !head) {
    throw reset::Error(
        options.input.string() + ": --head is nvfp4, but there is no " + kHead +
        " to quantise, expected one with K a multiple of 16 that is not excluded or tied to the embedding");
  }
  refuse_ambiguous(plan, options);
  return plan;
}

}  // namespace quantize
