// A linear layer y = W x with the weights where the checkpoint has them: NVFP4 through a view, or BF16, FP16, FP32.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <reset/io/checkpoint.hpp>

#include "panels.hpp"

namespace engine {

// A matrix [rows, cols] of BF16, FP16 or FP32 elements in the mapped file; a row becomes float32 when it is read.
class DenseMatrix {
 public:
  DenseMatrix() = default;
  // Throws reset::Error if the tensor has another shape or element type.
  DenseMatrix(const reset::TensorView& tensor, std::int64_t rows, std::int64_t cols);

  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }
  // Writes the `cols` elements of a row to `out`.
  void read_row(std::int64_t row, float* out) const;

 private:
  reset::TensorView tensor_;
  std::int64_t rows_ = 0;
  std::int64_t cols_ = 0;
};

class Linear {
 public:
  Linear() = default;
  explicit Linear(DenseMatrix dense) : dense_(std::move(dense)) {}
  // Finds the layer `name` ("model.layers.0.mlp.up_proj") in the checkpoint, quantised or not. Throws reset::Error if
  // it is missing or not [rows, cols]. The layer reads the checkpoint's memory, which must outlive it.
  Linear(const reset::Checkpoint& checkpoint, const std::string& name, std::int64_t rows, std::int64_t cols);

  std::int64_t rows() const;
  bool is_nvfp4() const { return nvfp4_.has_value(); }
  // The name it was found by; empty for a layer that shares its matrix with the embedding.
  const std::string& name() const { return name_; }
  // The global scale of its input, if the checkpoint has one: the largest, should it have several.
  std::optional<reset::GlobalScale> input_scale() const;

  // Decodes the weights to float32 once and for all: 4 bytes each, faster for a model that fits the caches.
  void unpack();

  // y[m, n] = sum over k of W[n, k] * x[m, k] for m in [0, count) and n in [begin, end); x is [count, cols] and y is
  // [count, rows], both without gaps.
  void apply(const float* x, std::int64_t count, float* y, std::int64_t begin, std::int64_t end) const;

 private:
  std::string name_;
  DenseMatrix dense_;
  std::optional<reset::Nvfp4Weight> nvfp4_;
  Panels panels_;  // empty: not unpacked
};

}  // namespace engine
