/// @file
/// The two ways in which NVFP4 checkpoints name and store a quantised linear layer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <reset/detail/rounding.hpp>
#include <reset/io/tensor.hpp>
#include <reset/nvfp4/layout.hpp>
#include <reset/nvfp4/matrix.hpp>

RESET_NAMESPACE_BEGIN

/// Who wrote the checkpoint. Both store the packed elements (U8, N x K/2) and linear block scales (F8_E4M3, N x K/16).
enum class CheckpointConvention : std::uint8_t {
  kModelOpt,           ///< `weight`, `weight_scale`, `weight_scale_2` and `input_scale`; the global ones multiply.
  kCompressedTensors,  ///< `weight_packed`, `weight_scale`, `weight_global_scale` and `input_global_scale`, which
                       ///< divide.
};

/// The names of the tensors of one linear layer.
struct Nvfp4TensorNames {
  std::string packed;        ///< Elements, two a byte.
  std::string block_scale;   ///< One E4M3 code per 16 elements.
  std::string global_scale;  ///< One float, or one a fused part.
  std::string input_scale;   ///< The global scale of the activations; optional.
};

/// The names of the tensors of the layer `module`, such as "model.layers.0.self_attn.q_proj".
inline Nvfp4TensorNames nvfp4_tensor_names(CheckpointConvention convention, std::string_view module) {
  const std::string stem = std::string(module) + ".";
  if (convention == CheckpointConvention::kModelOpt) {
    return {stem + "weight", stem + "weight_scale", stem + "weight_scale_2", stem + "input_scale"};
  }
  return {stem + "weight_packed", stem + "weight_scale", stem + "weight_global_scale", stem + "input_global_scale"};
}

/// What a writer declares for the layer `module` of N x K weights, in this order: packed elements, block scales, global
/// scale (a scalar in ModelOpt's files, of shape [1] in those of compressed-tensors). Parts that a reader is to fuse
/// without a copy declare their packed elements one part behind the other, and then their block scales. Throws `Error`
/// unless N >= 1 and K is a positive multiple of 16.
inline std::vector<TensorSpec> nvfp4_tensor_specs(CheckpointConvention convention, std::string_view module,
                                                  std::int64_t n, std::int64_t k) {
  if (n < 1) detail::fail(module, "N", std::to_string(n), "at least 1");
  if (k < 1 || k % kNvfp4BlockSize != 0) detail::fail(module, "K", std::to_string(k), "a positive multiple of 16");
  const Nvfp4TensorNames names = nvfp4_tensor_names(convention, module);
  const bool scalar = convention == CheckpointConvention::kModelOpt;
  return {{names.packed, DType::kU8, {n, k / 2}},
          {names.block_scale, DType::kF8E4M3, {n, k / kNvfp4BlockSize}},
          {names.global_scale, DType::kF32, scalar ? std::vector<std::int64_t>() : std::vector<std::int64_t>{1}}};
}

/// A global scale and the number that stands for it in a file.
struct StoredGlobalScale {
  float on_disk;       ///< What the file holds: the factor, or its reciprocal.
  GlobalScale global;  ///< The factor a reader gets from it. Quantise with this one: a reciprocal is rounded.
};

/// The factor behind a number in a file: the number itself, or its reciprocal rounded once to the nearest float.
inline GlobalScale global_scale_from_disk(CheckpointConvention convention, float on_disk) {
  return {convention == CheckpointConvention::kModelOpt ? on_disk : detail::div_rn(1.0f, on_disk)};
}

/// How a file of that convention stores the factor `wanted` (positive, finite, normal, and so its reciprocal).
inline StoredGlobalScale store_global_scale(CheckpointConvention convention, GlobalScale wanted) {
  const float on_disk = global_scale_from_disk(convention, wanted.value).value;
  return {on_disk, global_scale_from_disk(convention, on_disk)};
}

RESET_NAMESPACE_END
