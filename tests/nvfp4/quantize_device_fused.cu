// Device quantisation fused with RMSNorm and with SiLU times up, bit for bit their definition on the host.
#include <cstdint>
#include <limits>
#include <vector>

#include <reset/nvfp4/quantize.cuh>

#include "nvfp4/device_support.cuh"

using namespace device_test;
using reset::GateOrder;
using reset::ScaleLayout;

namespace {

constexpr float kGlobal = 0x1.4p-9f;
constexpr float kEpsilon = 1e-6f;
constexpr std::uint32_t kSmallestNormal = 0x00800000u;

struct NormCase {
  Shape x;
  Shape residual;
  ScaleLayout layout;
  bool with_residual;
};

template <class T>
void add_residual(std::vector<T>& residual, const Shape& shape, const std::vector<float>& x, std::int64_t row) {
  for (std::int64_t k = 0; k < shape.cols; ++k) {
    T& sum = residual[static_cast<std::size_t>(shape.offset + row * shape.ld + k)];
    sum = from_float<T>(reset::detail::add_rn(x[static_cast<std::size_t>(k)], to_float(sum)));
  }
}

template <class T>
bool same_elements(const std::vector<T>& a, const std::vector<T>& b) {
  int different = 0;
  for (std::size_t i = 0; i < a.size(); ++i) different += bits(a[i]) != bits(b[i]);
  return different == 0;
}

template <class T>
bool same_norm(const NormCase& test, const std::vector<T>& x, std::vector<T> residual) {
  const Shape& shape = test.x;
  const Shape weight_shape{1, shape.cols, shape.cols, shape.offset};
  const std::vector<T> weight = random_rows<T>(weight_shape, 77);
  const DeviceArray<T> device_x(x);
  const DeviceArray<T> device_residual(residual);
  const DeviceArray<T> device_weight(weight);
  reset::RmsNorm<T> norm;
  norm.weight = device_weight.data() + weight_shape.offset;
  norm.epsilon = kEpsilon;
  norm.residual = test.with_residual ? device_residual.data() + test.residual.offset : nullptr;
  norm.residual_stride = test.residual.ld;
  reset::QuantizeOptions options;
  options.zero_scale_padding = true;
  Image image(shape.rows, shape.cols, test.layout, 0, 0);
  const Image found = run(image, kGlobal, [&](const reset::Nvfp4MutableMatrixView& out) {
    return reset::rms_norm_quantize(device_x.data() + shape.offset, shape.ld, norm, out, options, nullptr);
  });

  const auto view = image.view(image.packed.data(), image.scales.data(), kGlobal);
  const std::vector<float> factors = row_of(weight, weight_shape, 0);
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    std::vector<float> y = row_of(x, shape, row);
    if (test.with_residual) {
      add_residual(residual, test.residual, y, row);
      y = row_of(residual, test.residual, row);
    }
    reset::rms_norm_row(y.data(), factors.data(), shape.cols, kEpsilon, y.data());
    write_row(view, row, y.data(), {kGlobal});
  }
  clear_padding(image);
  return found == image && same_elements(device_residual.download(), residual);
}

template <class T>
bool same_norm(const NormCase& test) {
  return same_norm(test, random_rows<T>(test.x, 3), random_rows<T>(test.residual, 4, 0.5f));
}

template <class T>
bool same_silu(const Shape& shape, GateOrder order, ScaleLayout layout, const std::vector<T>& x) {
  const DeviceArray<T> device(x);
  const std::int64_t K = shape.cols / 2;
  Image image(shape.rows, K, layout, 0, 0);
  reset::QuantizeOptions options;
  options.zero_scale_padding = true;
  const Image found = run(image, kGlobal, [&](const reset::Nvfp4MutableMatrixView& out) {
    return reset::silu_mul_quantize<T>(device.data() + shape.offset, shape.ld, order, out, options, nullptr);
  });
  const auto view = image.view(image.packed.data(), image.scales.data(), kGlobal);
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    std::vector<float> y = row_of(x, shape, row);
    const float* gate = y.data() + (order == GateOrder::kGateUp ? 0 : K);
    const float* up = y.data() + (order == GateOrder::kGateUp ? K : 0);
    std::vector<float> product(static_cast<std::size_t>(K));
    reset::silu_mul_row(gate, up, K, product.data());
    write_row(view, row, product.data(), {kGlobal});
  }
  clear_padding(image);
  return found == image;
}

// e over all floats from 0 to 1 but the subnormal ones.
__global__ void count_wrong_sigmoids(unsigned* wrong) {
  const std::uint32_t last = reset::detail::bits_of(1.0f);
  for (std::uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i <= last; i += gridDim.x * blockDim.x) {
    const float e = i < kSmallestNormal ? 0.0f : reset::detail::float_from_bits(i);
    const float denominator = reset::detail::add_rn(1.0f, e);
    for (const float numerator : {e, 1.0f}) {
      const float quotient = reset::detail::div_rn(numerator, denominator);
      const float found = reset::detail::sigmoid_of(numerator, e);
      if (reset::detail::bits_of(found) != reset::detail::bits_of(quotient)) atomicAdd(wrong, 1u);
    }
  }
}

}  // namespace

TEST_CASE("the sigmoid's quotient is the rounded one for every e", "[gpu]") {
  need_gpu();
  const DeviceArray<unsigned> wrong(std::vector<unsigned>{0});
  count_wrong_sigmoids<<<1024, 256>>>(wrong.data());
  REQUIRE(cudaGetLastError() == cudaSuccess);
  CHECK(wrong.download()[0] == 0);
}

TEMPLATE_TEST_CASE("RMSNorm and quantisation in one kernel give the bits of their definition", "[gpu]", float, __half,
                   __nv_bfloat16) {
  need_gpu();
  for (const bool with_residual : {false, true}) {
    for (const ScaleLayout layout : {ScaleLayout::kLinear, ScaleLayout::kSwizzled128x4}) {
      for (const std::int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}) {
        CAPTURE(with_residual, rows);
        CHECK(same_norm<TestType>({{rows, 48, 48, 0}, {rows, 48, 48, 0}, layout, with_residual}));
      }
      for (const std::int64_t cols : {16, 4096, 4112, 12288}) {
        CAPTURE(with_residual, cols);
        CHECK(same_norm<TestType>({{2, cols, cols, 0}, {2, cols, cols, 0}, layout, with_residual}));
        CHECK(same_norm<TestType>({{3, cols, cols + 5, 1}, {3, cols, cols + 3, 3}, layout, with_residual}));
      }
      CHECK(same_norm<TestType>({{300, 528, 528, 0}, {300, 528, 544, 0}, layout, with_residual}));
      // Of the most rows that several CTAs share each, and of one more; the last CTA of a row with a warp alone.
      for (const Shape& shape :
           {Shape{5, 1040, 1040, 0}, Shape{16, 4096, 4096, 0}, Shape{17, 4096, 4096, 0}, Shape{16, 8208, 8208, 0}}) {
        CAPTURE(with_residual, shape.rows, shape.cols);
        CHECK(same_norm<TestType>({shape, shape, layout, with_residual}));
      }
    }
  }
}

TEST_CASE("fused quantisers take a global scale in device memory, and one for each part of the rows", "[gpu]") {
  need_gpu();
  const Shape shape{6, 4096, 4096, 0};
  const std::vector<__half> x = random_rows<__half>(shape, 31);
  const std::vector<__half> weight = random_rows<__half>({1, 4096, 4096, 0}, 32);
  const DeviceArray<__half> device_x(x);
  const DeviceArray<__half> device_weight(weight);
  reset::RmsNorm<__half> norm;
  norm.weight = device_weight.data();
  const Image image(shape.rows, shape.cols, ScaleLayout::kLinear, 0, 0);
  const auto expected = [&](auto global_of) {
    Image result = image;
    const auto view = result.view(result.packed.data(), result.scales.data(), kGlobal);
    for (std::int64_t row = 0; row < shape.rows; ++row) {
      std::vector<float> y = row_of(x, shape, row);
      reset::rms_norm_row(y.data(), row_of(weight, {1, 4096, 4096, 0}, 0).data(), shape.cols, norm.epsilon, y.data());
      write_row(view, row, y.data(), {global_of(row)});
    }
    return result;
  };
  for (const float global : {0x1.9p-7f, std::numeric_limits<float>::quiet_NaN()}) {
    CAPTURE(global);
    const DeviceArray<float> in_memory(std::vector<float>{global});
    reset::QuantizeOptions options;
    options.global = in_memory.data();
    const Image found = run(image, 1.0f, [&](const reset::Nvfp4MutableMatrixView& out) {
      return reset::rms_norm_quantize(device_x.data(), shape.ld, norm, out, options, nullptr);
    });
    CHECK(found == expected([&](std::int64_t) { return global; }));
  }
  const Image found = run(image, kGlobal, [&](reset::Nvfp4MutableMatrixView out) {
    out.global = reset::FusedGlobalScales::fused({{0, {kGlobal}}, {4, {0x1.2p-5f}}});
    return reset::rms_norm_quantize(device_x.data(), shape.ld, norm, out, {}, nullptr);
  });
  CHECK(found == expected([&](std::int64_t row) { return row < 4 ? kGlobal : 0x1.2p-5f; }));
}

TEST_CASE("RMSNorm of zeros, of the largest values and of NaN is defined", "[gpu]") {
  need_gpu();
  const Shape shape{4, 512, 512, 0};
  std::vector<__half> x = random_rows<__half>(shape, 12);
  for (std::size_t k = 0; k < 512; ++k) {
    x[k] = from_float<__half>(0.0f);
    x[512 + k] = from_float<__half>(k % 2 == 0 ? 65504.0f : -65504.0f);
  }
  x[1024 + 40] = from_float<__half>(std::nanf(""));
  const std::vector<__half> residual = random_rows<__half>(shape, 13);
  CHECK(same_norm<__half>({shape, shape, ScaleLayout::kLinear, false}, x, residual));
  // 65504 + 65504 overflows to an infinity, which makes the row NaN and stays in the residual.
  CHECK(same_norm<__half>({shape, shape, ScaleLayout::kLinear, true}, x, x));
}

TEMPLATE_TEST_CASE("SiLU times up and quantisation in one kernel give the bits of their definition", "[gpu]", float,
                   __half, __nv_bfloat16) {
  need_gpu();
  for (const GateOrder order : {GateOrder::kGateUp, GateOrder::kUpGate}) {
    for (const ScaleLayout layout : {ScaleLayout::kLinear, ScaleLayout::kSwizzled128x4}) {
      for (const std::int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 300}) {
        const Shape shape{rows, 96, 96, 0};
        CAPTURE(rows);
        CHECK(same_silu<TestType>(shape, order, layout, random_rows<TestType>(shape, 21)));
      }
      for (const std::int64_t cols : {16, 4096, 4112, 12288}) {
        const Shape dense{2, 2 * cols, 2 * cols, 0};
        const Shape strided{3, 2 * cols, 2 * cols + 3, 1};
        CAPTURE(cols);
        CHECK(same_silu<TestType>(dense, order, layout, random_rows<TestType>(dense, 22, 4.0f)));
        CHECK(same_silu<TestType>(strided, order, layout, random_rows<TestType>(strided, 23)));
      }
    }
  }
}

TEST_CASE("SiLU has the same bits on the device over the whole range of the gate", "[gpu]") {
  need_gpu();
  const std::int64_t K = 1 << 15;
  const Shape shape{16, 2 * K, 2 * K, 0};
  std::vector<float> x(elements(shape));
  std::mt19937 random(31);
  std::uniform_real_distribution<float> exponent(-40.0f, 8.0f);
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    for (std::int64_t k = 0; k < 2 * K; ++k) {
      const float gate = (random() % 2 == 0 ? 1.0f : -1.0f) * std::exp2(exponent(random));
      x[static_cast<std::size_t>(row * shape.ld + k)] = k < K ? gate : std::exp2(exponent(random) / 4);
    }
  }
  CHECK(same_silu(shape, GateOrder::kGateUp, ScaleLayout::kLinear, x));
}
