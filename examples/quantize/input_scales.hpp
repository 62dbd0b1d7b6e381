// The global scales of the activations, which come from a calibration: a JSON object, {"model.layers.0.mlp.up_proj":
// 0.0021, ...}, each the largest magnitude that went into the layer, over 6 * 448.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include <reset/nvfp4/matrix.hpp>

namespace quantize {

class InputScales {
 public:
  // Throws reset::Error for a file that is not such an object, naming the first number that is no scale.
  explicit InputScales(const std::filesystem::path& path);

  // Throws reset::Error if there is none for that layer.
  reset::GlobalScale of(const std::string& module) const;

 private:
  std::string path_;
  std::map<std::string, reset::GlobalScale> scales_;
};

}  // namespace quantize
