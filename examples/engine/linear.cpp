#include "linear.hpp"

#include <algorithm>
#include <vector>

#include <reset/nvfp4/reference.hpp>
#include <reset/status.hpp>

#include "math.hpp"

namespace engine {
namespace {

[[noreturn]] void refuse_shape(const std::string& name, std::int64_t found_rows, std::int64_t found_cols,
                               std::int64_t rows, std::int64_t cols) {
  const auto shape = [](std::int64_t n, std::int64_t k) {
    return "[" + std::to_string(n) + ", " + std::to_string(k) + "]";
  };
  throw reset::Error(name + ": shape is " + shape(found_rows, found_cols) + ", expected " + shape(rows, cols) +
                     " from config.json");
}

}  // namespace

DenseMatrix::DenseMatrix(const reset::TensorView& tensor, std::int64_t rows, std::int64_t cols)
    : tensor_(tensor), rows_(rows), cols_(cols) {
  const std::string where = std::string(tensor.file) + ": " + tensor.name;
  if (tensor.shape.size() != 2) {
    throw reset::Error(where + " has " + std::to_string(tensor.shape.size()) + " dimensions, expected 2");
  }
  if (tensor.shape[0] != rows || tensor.shape[1] != cols) {
    refuse_shape(where, tensor.shape[0], tensor.shape[1], rows, cols);
  }
  float element = 0;
  reset::read_floats(tensor, 0, 1, &element);  // refuses other element types now, not in the middle of a token
}

void DenseMatrix::read_row(std::int64_t row, float* out) const { reset::read_floats(tensor_, row * cols_, cols_, out); }

Linear::Linear(const reset::Checkpoint& checkpoint, const std::string& name, std::int64_t rows, std::int64_t cols)
    : name_(name) {
  if (!checkpoint.is_nvfp4(name)) {
    dense_ = DenseMatrix(checkpoint.tensor(name + ".weight"), rows, cols);
    return;
  }
  nvfp4_ = checkpoint.nvfp4(name);
  const reset::Nvfp4MatrixView& view = nvfp4_->view();
  if (view.rows != rows || view.cols != cols) refuse_shape(name, view.rows, view.cols, rows, cols);
}

std::int64_t Linear::rows() const { return nvfp4_ ? nvfp4_->view().rows : dense_.rows(); }

std::optional<reset::GlobalScale> Linear::input_scale() const {
  if (!nvfp4_ || nvfp4_->input_scales().empty()) return std::nullopt;
  const std::vector<reset::GlobalScale>& scales = nvfp4_->input_scales();
  return *std::max_element(scales.begin(), scales.end(), [](auto a, auto b) { return a.value < b.value; });
}

void Linear::unpack() {
  const std::int64_t cols = nvfp4_ ? nvfp4_->view().cols : dense_.cols();
  panels_ = Panels(rows(), cols);
  std::vector<float> row(static_cast<std::size_t>(cols));
  for (std::int64_t n = 0; n < rows(); ++n) {
    nvfp4_ ? reset::dequantize_row(nvfp4_->view(), n, row.data()) : dense_.read_row(n, row.data());
    panels_.set_row(n, row.data());
  }
}

void Linear::apply(const float* x, std::int64_t count, float* y, std::int64_t begin, std::int64_t end) const {
  if (!panels_.empty()) return panels_.apply(x, count, y, begin, end);
  if (nvfp4_) {
    const reset::Nvfp4MatrixView& view = nvfp4_->view();
    reset::throw_if_failed(reset::host_gemv(view, x, count, view.cols, y, view.rows, begin, end));
    return;
  }
  std::vector<float> row(static_cast<std::size_t>(dense_.cols()));
  for (std::int64_t n = begin; n < end; ++n) {
    dense_.read_row(n, row.data());
    for (std::int64_t m = 0; m < count; ++m) {
      y[m * dense_.rows() + n] = dot(row.data(), x + m * dense_.cols(), dense_.cols());
    }
  }
}

}  // namespace engine
