/// @file
/// The tensors of one NVFP4 layer, checked against each other.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <reset/io/convention.hpp>
#include <reset/io/detail/json.hpp>
#include <reset/io/tensor.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// One layer as its tensors lie in the file. `input_scales` is empty or as long as `scales`.
struct Nvfp4Part {
  const TensorView* packed = nullptr;
  const TensorView* block_scale = nullptr;
  std::vector<GlobalScale> scales;
  std::vector<GlobalScale> input_scales;

  std::int64_t rows() const { return packed->shape[0]; }
  std::int64_t cols() const { return packed->shape[1] * 2; }
};

inline void expect_dtype(const TensorView& tensor, DType expected) {
  if (tensor.dtype == expected) return;
  fail(tensor.file, tensor_named(tensor.name) + " dtype", dtype_name(tensor.dtype), dtype_name(expected));
}

inline void check_packed(const TensorView& tensor) {
  expect_dtype(tensor, DType::kU8);
  constexpr std::int64_t kLargestExtent = 0x7fffffff;
  const std::vector<std::int64_t>& shape = tensor.shape;
  if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1 || shape[0] > kLargestExtent || shape[1] > kLargestExtent / 2) {
    fail(tensor.file, tensor_named(tensor.name) + " shape", shape_text(shape), "[N, K/2] with N, K in 1..2^31-1");
  }
  if (shape[1] % (kNvfp4BlockSize / 2) != 0) {
    fail(tensor.file, tensor_named(tensor.name) + " shape", shape_text(shape), "[N, K/2] with K a multiple of 16");
  }
}

// A negative or NaN scale has a code of 0x7f or more. No writer makes one, so the file is damaged; kernels that shift
// the code into place would silently drop the sign.
inline void check_block_scale_codes(const TensorView& tensor, std::int64_t blocks) {
  std::uint8_t largest = 0;
  for (std::size_t i = 0; i < tensor.bytes; ++i) largest = std::max(largest, tensor.data[i]);
  if (largest < 0x7f) return;
  const std::uint8_t* const end = tensor.data + tensor.bytes;
  const std::uint8_t* const bad = std::find_if(tensor.data, end, [](std::uint8_t code) { return code >= 0x7f; });
  const auto index = static_cast<std::int64_t>(bad - tensor.data);
  fail(tensor.file,
       tensor_named(tensor.name) + " scale of row " + std::to_string(index / blocks) + ", block " +
           std::to_string(index % blocks),
       "E4M3 code " + std::to_string(*bad), "a code in 0..126, neither negative nor NaN");
}

inline void check_block_scale(const TensorView& tensor, const TensorView& packed) {
  expect_dtype(tensor, DType::kF8E4M3);
  const std::vector<std::int64_t> expected = {packed.shape[0], packed.shape[1] * 2 / kNvfp4BlockSize};
  if (tensor.shape != expected) {
    fail(tensor.file, tensor_named(tensor.name) + " shape", shape_text(tensor.shape),
         shape_text(expected) + " beside " + in_quotes(packed.name) + " of " + shape_text(packed.shape));
  }
  check_block_scale_codes(tensor, expected[1]);
}

inline std::string number_text(float x) {
  if (is_nan(x)) return "NaN";
  if (is_inf(x)) return widen(x) < 0 ? "-inf" : "inf";
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", widen(x));
  return text;
}

/// The factors in a global scale tensor: a scalar or [1], or [`parts`] where the layer holds that many.
inline std::vector<GlobalScale> read_global_scales(const TensorView& tensor, CheckpointConvention convention,
                                                   std::size_t parts) {
  expect_dtype(tensor, DType::kF32);
  const std::vector<std::int64_t> one_a_part = {static_cast<std::int64_t>(parts)};
  const bool is_single = tensor.shape.empty() || tensor.shape == std::vector<std::int64_t>{1};
  if (!is_single && tensor.shape != one_a_part) {
    fail(tensor.file, tensor_named(tensor.name) + " shape", shape_text(tensor.shape),
         parts == 1 ? "[] or [1] (a layer of fused parts is read with the rows of each)"
                    : "[], [1] or " + shape_text(one_a_part) + ", one for each part");
  }
  std::vector<GlobalScale> scales;
  for (std::int64_t i = 0; i < tensor.size(); ++i) {
    float on_disk = 0.0f;
    read_floats(tensor, i, 1, &on_disk);
    scales.push_back(global_scale_from_disk(convention, on_disk));
    if (!is_valid(GlobalScale{on_disk}) || !is_valid(scales.back())) {
      fail(tensor.file, tensor_named(tensor.name), number_text(on_disk),
           "positive, finite and normal, and its reciprocal too where it divides");
    }
  }
  scales.resize(parts, scales.front());
  return scales;
}

/// The bytes of several tensors as one run: in place if they follow each other in one file, else a copy in `owned`.
inline const std::uint8_t* concatenate(const std::vector<const TensorView*>& tensors,
                                       std::shared_ptr<const void>& owned) {
  const auto follows = [](const TensorView* a, const TensorView* b) {
    return a->file.data() == b->file.data() && a->data + a->bytes == b->data;
  };
  bool adjacent = true;
  for (std::size_t i = 1; i < tensors.size(); ++i) adjacent = adjacent && follows(tensors[i - 1], tensors[i]);
  if (adjacent) return tensors.front()->data;
  const auto copy = std::make_shared<std::vector<std::uint8_t>>();
  for (const TensorView* tensor : tensors) copy->insert(copy->end(), tensor->data, tensor->data + tensor->bytes);
  owned = copy;
  return copy->data();
}

}  // namespace detail
RESET_NAMESPACE_END
