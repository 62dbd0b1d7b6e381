// Dequantisation on the device, bit for bit the host's floats rounded to the element type.
#include <cstdint>
#include <vector>

#include <reset/nvfp4/dequantize.cuh>
#include <reset/nvfp4/reference.hpp>

#include "nvfp4/device_support.cuh"
#include "nvfp4/random_matrix.hpp"

using namespace device_test;
using reset::Nvfp4MatrixView;
using reset::ScaleLayout;

namespace {

// The matrix on the device; `of` moves a view of the host's memory there.
struct DeviceMatrix {
  const RandomMatrix& host;
  DeviceArray<std::uint8_t> packed;
  DeviceArray<std::uint8_t> scales;

  explicit DeviceMatrix(const RandomMatrix& matrix) : host(matrix), packed(matrix.packed), scales(matrix.scales) {}
  Nvfp4MatrixView of(Nvfp4MatrixView view) const {
    view.packed = packed.data() + (view.packed - host.packed.data());
    view.block_scale.data = scales.data();
    return view;
  }
};

// Elements that differ from the host's, the untouched ones around the result included.
template <class T>
int count_wrong(const DeviceMatrix& matrix, const Nvfp4MatrixView& view, std::int64_t slack, std::int64_t offset) {
  const std::int64_t ld = view.cols + slack;
  const T poison = from_float<T>(-1234.0f);
  const DeviceArray<T> out(std::vector<T>(static_cast<std::size_t>(offset + view.rows * ld), poison));
  const reset::Status status = reset::dequantize_matrix<T>(matrix.of(view), out.data() + offset, ld, {}, nullptr);
  INFO(status.message());
  REQUIRE(status.ok());
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  const std::vector<T> found = out.download();
  int wrong = 0;
  for (std::int64_t i = 0; i < offset; ++i) wrong += bits(found[static_cast<std::size_t>(i)]) != bits(poison);
  std::vector<float> row(static_cast<std::size_t>(view.cols));
  for (std::int64_t n = 0; n < view.rows; ++n) {
    reset::dequantize_row(view, n, row.data());
    for (std::int64_t k = 0; k < ld; ++k) {
      const T value = found[static_cast<std::size_t>(offset + n * ld + k)];
      const T expected = k < view.cols ? from_float<T>(row[static_cast<std::size_t>(k)]) : poison;
      const bool both_nan = reset::detail::is_nan(to_float(value)) && reset::detail::is_nan(to_float(expected));
      wrong += bits(value) != bits(expected) && !both_nan;
    }
  }
  return wrong;
}

}  // namespace

TEMPLATE_TEST_CASE("device dequantisation gives the rounded floats of the host", "[gpu]", float, __half,
                   __nv_bfloat16) {
  need_gpu();
  for (const ScaleLayout layout : {ScaleLayout::kLinear, ScaleLayout::kSwizzled128x4}) {
    for (const std::int64_t rows : {1, 2, 37, 300}) {
      for (const std::int64_t cols : {16, 48, 1856, 4112}) {
        CAPTURE(rows, cols);
        const RandomMatrix aligned(rows, cols, layout);
        CHECK(count_wrong<TestType>(DeviceMatrix(aligned), aligned.view, 0, 0) == 0);
        const RandomMatrix odd(rows, cols, layout, 3, 1);
        CHECK(count_wrong<TestType>(DeviceMatrix(odd), odd.view, 5, 1) == 0);
      }
    }
  }
}

TEST_CASE("parts of a matrix are dequantised where they lie", "[gpu]") {
  need_gpu();
  const RandomMatrix matrix(300, 208, ScaleLayout::kSwizzled128x4);
  const DeviceMatrix device(matrix);
  for (const std::int64_t first : {0, 5, 127, 180}) {
    for (const std::int64_t first_k : {0, 16, 48, 96}) {
      const Nvfp4MatrixView part = col_slice(row_slice(matrix.view, first, 120), first_k, 112);
      CHECK(count_wrong<__nv_bfloat16>(device, part, 0, 0) == 0);
    }
  }
}

TEST_CASE("every code at every scale is dequantised, NaN and negative scales included", "[gpu]") {
  need_gpu();
  RandomMatrix matrix(256, 16, ScaleLayout::kLinear);
  for (std::size_t i = 0; i < 256; ++i) {
    matrix.scales[i] = static_cast<std::uint8_t>(i);
    for (std::size_t k = 0; k < 8; ++k) matrix.packed[i * 8 + k] = static_cast<std::uint8_t>(0x10 + 0x22 * k);
  }
  for (const float global : {1.0f, 0x1p-126f, 0x1.23p-120f, 0x1.77p+30f}) {
    CAPTURE(global);
    matrix.view.global = reset::FusedGlobalScales::uniform({global});
    CHECK(count_wrong<float>(DeviceMatrix(matrix), matrix.view, 0, 0) == 0);
    CHECK(count_wrong<__half>(DeviceMatrix(matrix), matrix.view, 0, 0) == 0);
    CHECK(count_wrong<__nv_bfloat16>(DeviceMatrix(matrix), matrix.view, 0, 0) == 0);
  }
}
