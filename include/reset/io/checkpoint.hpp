/// @file
/// A checkpoint as engines have it on disk: safetensors in one file or several, and its NVFP4 layers as views.
#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <reset/io/detail/nvfp4_parts.hpp>
#include <reset/io/detail/shard_index.hpp>
#include <reset/io/quantization_config.hpp>
#include <reset/io/safetensors.hpp>
#include <reset/nvfp4/matrix.hpp>

RESET_NAMESPACE_BEGIN

/// An NVFP4 layer of a checkpoint. Keeps the memory behind its view alive, also beyond the checkpoint; copies share it.
class Nvfp4Weight {
 public:
  /// Takes over what `Checkpoint` found.
  Nvfp4Weight(const Nvfp4MatrixView& view, std::vector<GlobalScale> input_scales, bool in_place,
              std::vector<std::shared_ptr<const void>> storage)
      : view_(view), input_scales_(std::move(input_scales)), in_place_(in_place), storage_(std::move(storage)) {}

  /// The matrix, N x K, with linear block scales; valid as long as this object or a copy of it. A temporary gives none:
  /// the memory would go with it.
  const Nvfp4MatrixView& view() const& noexcept { return view_; }
  const Nvfp4MatrixView& view() const&& = delete;

  /// The global scales of the activations (multiplying), one for each part of a fused layer; empty if the checkpoint
  /// has none.
  const std::vector<GlobalScale>& input_scales() const noexcept { return input_scales_; }

  /// Whether the view points into the file. Fused parts that lie apart were copied together instead.
  bool in_place() const noexcept { return in_place_; }

 private:
  Nvfp4MatrixView view_;
  std::vector<GlobalScale> input_scales_;
  bool in_place_;
  std::vector<std::shared_ptr<const void>> storage_;
};

/// The tensors of a checkpoint, whichever file they lie in. Copies share the mapped files.
class Checkpoint {
 public:
  /// Opens a safetensors file, or a folder with model.safetensors or, failing that, model.safetensors.index.json. The
  /// quantisation is read from config.json in the folder or, if that declares none, from hf_quant_config.json.
  ///
  /// Throws `Error`, besides what `SafetensorsView` and `QuantizationConfig` throw, if the folder has neither, if the
  /// index names a file that is missing or outside the folder, or a tensor that is not in its file. Tensors that the
  /// index does not list are left out.
  static Checkpoint open(const std::string& path) {
    namespace fs = std::filesystem;
    std::error_code unreadable;  // Then opening the file says so.
    const bool is_folder = fs::is_directory(path, unreadable);
    const fs::path folder = is_folder ? fs::path(path) : fs::path(path).parent_path();
    Checkpoint checkpoint;
    checkpoint.config_ = read_config(folder);
    if (!is_folder) {
      checkpoint.add(std::make_shared<const SafetensorsFile>(path));
    } else if (exists(folder / "model.safetensors")) {
      checkpoint.add(std::make_shared<const SafetensorsFile>((folder / "model.safetensors").string()));
    } else {
      checkpoint.add_shards(folder);
    }
    return checkpoint;
  }

  /// A checkpoint of files that are in memory already. Throws `Error` for a tensor that is in two of them.
  Checkpoint(const std::vector<std::shared_ptr<const SafetensorsView>>& files, QuantizationConfig config)
      : config_(std::move(config)) {
    for (const auto& file : files) add(file);
  }

  /// The names of all tensors, in alphabetical order.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    names.reserve(entries_.size());
    for (const auto& [name, entry] : entries_) names.push_back(name);
    return names;
  }

  /// Whether there is a tensor of that name.
  bool contains(std::string_view name) const { return find(name) != nullptr; }

  /// The tensor of that name, valid as long as the checkpoint; throws `Error` if there is none.
  const TensorView& tensor(std::string_view name) const {
    const TensorView* found = find(name);
    if (found == nullptr) detail::fail(where(), detail::tensor_named(name), "missing", "a tensor of that name");
    return *found;
  }

  /// What the checkpoint says of its own quantisation.
  const QuantizationConfig& quantization() const noexcept { return config_; }

  /// Names of tensors that belong to the quantisation and that this library does not use: the scales of a quantised KV
  /// cache (`k_scale`, `v_scale`).
  std::vector<std::string> ignored() const {
    std::vector<std::string> result;
    for (const auto& [name, entry] : entries_) {
      const std::string_view last = std::string_view(name).substr(name.rfind('.') + 1);
      if (last == "k_scale" || last == "v_scale") result.push_back(name);
    }
    return result;
  }

  /// Whether the layer `module`, such as "model.layers.0.self_attn.q_proj", has packed weights. Whether they are sound
  /// is for `nvfp4` to say. False throughout a checkpoint that declares another quantisation.
  bool is_nvfp4(std::string_view module) const {
    return config_.other_scheme().empty() && find_convention(module).has_value();
  }

  /// The layer `module`, in place. If one tensor holds several fused projections with a global scale each, `part_rows`
  /// gives the rows of each of them (2 to 4 parts, N rows in all).
  ///
  /// Throws `Error`, naming file, tensor, finding and expectation: if the layer has no packed weights, or is excluded
  /// by the quantisation configuration and has them all the same; for a missing tensor, a wrong element type or shape,
  /// a K that is no multiple of 16, a global scale that is not positive, finite and normal, a block scale that is
  /// negative or NaN (all are read), and for AWQ's `pre_quant_scale`, which the format cannot express.
  Nvfp4Weight nvfp4(std::string_view module, const std::vector<std::int64_t>& part_rows = {}) const {
    detail::Nvfp4Part part = load(module, std::max<std::size_t>(part_rows.size(), 1));
    check_part_rows(*part.packed, part_rows);
    std::vector<std::shared_ptr<const void>> storage = {keeper(*part.packed), keeper(*part.block_scale)};
    const std::vector<std::int64_t> rows = part_rows.empty() ? std::vector<std::int64_t>{part.rows()} : part_rows;
    const Nvfp4MatrixView view = make_view(part.packed->data, part.block_scale->data, part.cols(), rows, part.scales);
    return Nvfp4Weight(view, std::move(part.input_scales), true, std::move(storage));
  }

  /// Several layers of the same K as one matrix, in the order given (q, k, v; or gate, up), each with its own global
  /// scale; 1 to 4 of them. In place if their tensors follow each other in the file. Otherwise the packed weights, or
  /// the block scales, or both, are copied into memory that the result owns. Throws as `nvfp4` does, if the K differ,
  /// or if only some of the layers have an input scale.
  Nvfp4Weight nvfp4_fused(const std::vector<std::string>& modules) const {
    if (modules.empty() || modules.size() > FusedGlobalScales::kMaxParts) {
      detail::fail(where(), "number of fused layers", std::to_string(modules.size()), "1..4");
    }
    std::vector<const TensorView*> packed, block_scales;
    std::vector<std::shared_ptr<const void>> storage(2);
    std::vector<GlobalScale> scales, input_scales;
    std::vector<std::int64_t> rows;
    for (const std::string& module : modules) {
      const detail::Nvfp4Part part = load(module, 1);
      packed.push_back(part.packed);
      block_scales.push_back(part.block_scale);
      check_fits(*packed.front(), *part.packed, input_scales.size() == scales.size(), !part.input_scales.empty());
      scales.push_back(part.scales.front());
      input_scales.insert(input_scales.end(), part.input_scales.begin(), part.input_scales.end());
      rows.push_back(part.rows());
      storage.insert(storage.end(), {keeper(*part.packed), keeper(*part.block_scale)});
    }
    const std::uint8_t* const elements = detail::concatenate(packed, storage[0]);
    const std::uint8_t* const codes = detail::concatenate(block_scales, storage[1]);
    const bool in_place = storage[0] == nullptr && storage[1] == nullptr;
    const Nvfp4MatrixView view = make_view(elements, codes, packed.front()->shape[1] * 2, rows, scales);
    return Nvfp4Weight(view, std::move(input_scales), in_place, std::move(storage));
  }

 private:
  struct Entry {
    const TensorView* tensor;
    std::shared_ptr<const SafetensorsView> file;
  };

  Checkpoint() = default;

  static bool exists(const std::filesystem::path& path) {
    std::error_code unreadable;
    return std::filesystem::exists(path, unreadable);
  }

  static QuantizationConfig read_config(const std::filesystem::path& folder) {
    for (const char* name : {"config.json", "hf_quant_config.json"}) {
      const std::filesystem::path path = folder / name;
      if (!exists(path)) continue;
      const detail::MappedFile file(path.string());
      QuantizationConfig config = QuantizationConfig::parse(std::string_view(file.data(), file.size()), path.string());
      if (config.declared()) return config;
    }
    return {};
  }

  void add(const std::shared_ptr<const SafetensorsView>& file) {
    for (const auto& [name, tensor] : file->tensors()) {
      const auto [position, inserted] = entries_.emplace(name, Entry{&tensor, file});
      if (!inserted) {
        detail::fail(file->file(), detail::tensor_named(name), "also in " + position->second.file->file(),
                     "a tensor in one file only");
      }
    }
  }

  void add_shards(const std::filesystem::path& folder) {
    const std::string index = (folder / "model.safetensors.index.json").string();
    if (!exists(index)) {
      throw Error(folder.string() + ": neither model.safetensors nor model.safetensors.index.json is there");
    }
    const detail::MappedFile text(index);
    std::map<std::string, std::shared_ptr<const SafetensorsView>> shards;
    for (const auto& [name, shard] : detail::parse_weight_map(std::string_view(text.data(), text.size()), index)) {
      std::shared_ptr<const SafetensorsView>& file = shards[shard];
      if (file == nullptr) {
        const std::filesystem::path path = folder / shard;
        if (!exists(path)) {
          detail::fail(index, "file " + detail::in_quotes(shard) + " of " + detail::tensor_named(name), "missing",
                       "a file in the same folder");
        }
        file = std::make_shared<const SafetensorsFile>(path.string());
      }
      entries_.emplace(name, Entry{&file->tensor(name), file});
    }
  }

  const TensorView* find(std::string_view name) const {
    const auto position = entries_.find(name);
    return position == entries_.end() ? nullptr : position->second.tensor;
  }

  std::shared_ptr<const void> keeper(const TensorView& tensor) const { return entries_.find(tensor.name)->second.file; }

  std::string_view where() const {
    return entries_.empty() ? std::string_view("checkpoint") : std::string_view(entries_.begin()->second.file->file());
  }

  /// The convention whose packed tensor the module has.
  std::optional<CheckpointConvention> find_convention(std::string_view module) const {
    const auto packed = nvfp4_tensor_names(CheckpointConvention::kCompressedTensors, module).packed;
    if (contains(packed)) return CheckpointConvention::kCompressedTensors;
    const Nvfp4TensorNames names = nvfp4_tensor_names(CheckpointConvention::kModelOpt, module);
    const TensorView* weight = find(names.packed);
    if (weight == nullptr || (weight->dtype != DType::kU8 && !contains(names.global_scale))) return std::nullopt;
    return CheckpointConvention::kModelOpt;
  }

  detail::Nvfp4Part load(std::string_view module, std::size_t parts) const {
    const CheckpointConvention convention = checked_convention(module);
    const Nvfp4TensorNames names = nvfp4_tensor_names(convention, module);
    detail::Nvfp4Part part;
    part.packed = &tensor(names.packed);
    // Packed weights tell more than an expression that is not understood.
    if (config_.certainly_excludes(module)) {
      detail::fail(part.packed->file, detail::tensor_named(names.packed), "quantised",
                   "no quantised weights, since " + config_.file() + " excludes the layer");
    }
    const std::string awq = std::string(module) + ".pre_quant_scale";
    if (contains(awq)) {
      detail::fail(part.packed->file, detail::tensor_named(awq), "present",
                   "a layer without AWQ's scaling of the activations, which this library does not apply");
    }
    detail::check_packed(*part.packed);
    part.block_scale = &companion(names.block_scale, *part.packed);
    detail::check_block_scale(*part.block_scale, *part.packed);
    part.scales = detail::read_global_scales(companion(names.global_scale, *part.packed), convention, parts);
    if (const TensorView* input = find(names.input_scale); input != nullptr) {
      part.input_scales = detail::read_global_scales(*input, convention, parts);
    }
    return part;
  }

  CheckpointConvention checked_convention(std::string_view module) const {
    if (!config_.other_scheme().empty()) {
      detail::fail(config_.file(), "declared quantisation", detail::in_quotes(config_.other_scheme()), "NVFP4");
    }
    const std::optional<CheckpointConvention> found = find_convention(module);
    const std::string what = "layer " + detail::in_quotes(module);
    if (!found) {
      const TensorView* weight = find(std::string(module) + ".weight");
      if (weight == nullptr)
        detail::fail(where(), what, "missing",
                     "a module, which is the name of its weight without .weight or .weight_packed");
      detail::fail(weight->file, what, dtype_name(weight->dtype),
                   "NVFP4, which is stored as U8; `is_nvfp4` tells of each layer, and `tensor` reads the others");
    }
    if (config_.convention() && config_.convention() != found) {
      const bool is_modelopt = found == CheckpointConvention::kModelOpt;
      detail::fail(where(), what, is_modelopt ? "stored as by ModelOpt" : "stored as by compressed-tensors",
                   "the convention that " + config_.file() + " declares");
    }
    return *found;
  }

  const TensorView& companion(const std::string& name, const TensorView& packed) const {
    const TensorView* found = find(name);
    if (found == nullptr) {
      detail::fail(packed.file, detail::tensor_named(name), "missing", "one beside " + detail::in_quotes(packed.name));
    }
    return *found;
  }

  static void check_part_rows(const TensorView& packed, const std::vector<std::int64_t>& part_rows) {
    if (part_rows.empty()) return;
    std::int64_t sum = 0;
    bool valid = part_rows.size() <= FusedGlobalScales::kMaxParts;
    for (const std::int64_t rows : part_rows) {
      valid = valid && rows >= 1 && rows <= packed.shape[0];
      sum += valid ? rows : 0;
    }
    if (!valid || sum != packed.shape[0]) {
      detail::fail(packed.file, detail::tensor_named(packed.name) + " rows of its parts", detail::shape_text(part_rows),
                   "1..4 positive numbers that add up to " + std::to_string(packed.shape[0]));
    }
  }

  static void check_fits(const TensorView& first, const TensorView& next, bool first_has_input, bool next_has_input) {
    if (first.shape[1] != next.shape[1]) {
      detail::fail(next.file, detail::tensor_named(next.name) + " shape", detail::shape_text(next.shape),
                   "the same K as " + detail::in_quotes(first.name) + " of " + detail::shape_text(first.shape));
    }
    if (&first != &next && first_has_input != next_has_input) {
      detail::fail(next.file, detail::tensor_named(next.name) + " input scale", next_has_input ? "present" : "missing",
                   "the same as for " + detail::in_quotes(first.name));
    }
  }

  static Nvfp4MatrixView make_view(const std::uint8_t* packed, const std::uint8_t* codes, std::int64_t cols,
                                   const std::vector<std::int64_t>& rows, const std::vector<GlobalScale>& scales) {
    Nvfp4MatrixView view;
    view.packed = packed;
    view.rows = std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
    view.cols = cols;
    view.row_stride = cols / 2;
    view.block_scale.data = codes;
    view.block_scale.stride = cols / kNvfp4BlockSize;
    view.global.count = static_cast<int>(rows.size());
    std::int64_t first_row = 0;
    for (std::size_t part = 0; part < rows.size(); ++part) {
      view.global.parts[part] = {first_row, scales[part]};
      first_row += rows[part];
    }
    throw_if_failed(validate(view));
    return view;
  }

  QuantizationConfig config_;
  std::map<std::string, Entry, std::less<>> entries_;
};

RESET_NAMESPACE_END
