// Decides for every tensor of a checkpoint what becomes of it, before anything is written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <reset/io/checkpoint.hpp>
#include <reset/nvfp4/matrix.hpp>

#include "options.hpp"

namespace quantize {

struct PlannedTensor {
  const reset::TensorView* tensor = nullptr;
  std::string module;  // "model.layers.0.mlp.up_proj"; empty if it is no layer's weight
  std::string kept;    // why it stays as it is; empty if it is quantised
  std::optional<reset::GlobalScale> input_scale = std::nullopt;  // of the activations, to be written beside it

  bool quantised() const { return kept.empty(); }
};

// The tensors of one file, and the name of the file that they go to.
struct PlannedShard {
  std::string file_name;
  std::vector<PlannedTensor> tensors;
};

struct Plan {
  std::vector<PlannedShard> shards;
  std::vector<std::string> exclusions;  // layers that could be NVFP4 by their kind, and are not
  std::uint64_t bytes = 0;              // of all tensors as they are
};

// A layer is quantised if its weight is a matrix of BF16, FP16 or FP32 whose K is a multiple of 16 and no pattern of
// `exclude` matches its name. Throws reset::Error if the checkpoint is quantised already, if no layer is left, or not
// the head that is wanted, if the exclusions would name a quantised layer, too, or if there are input scales and not
// one for each such layer.
Plan make_plan(const reset::Checkpoint& checkpoint, const Options& options);

// "384 x 896"
std::string shape_text(const reset::TensorView& tensor);

}  // namespace quantize
