// Device quantisation of activations as they lie, bit for bit the host rule.
#include <cstdint>
#include <limits>
#include <vector>

#include <reset/nvfp4/quantize.cuh>

#include "nvfp4/device_support.cuh"

using namespace device_test;
using reset::ScaleLayout;

namespace {

constexpr float kGlobal = 0x1.2p-8f;

template <class T>
Image expected_image(const std::vector<T>& x, const Shape& shape, Image image, float global, bool zero_padding) {
  const reset::Nvfp4MutableMatrixView view = image.view(image.packed.data(), image.scales.data(), global);
  for (std::int64_t row = 0; row < shape.rows; ++row) write_row(view, row, row_of(x, shape, row).data(), {global});
  if (zero_padding) clear_padding(image);
  return image;
}

// Whether the device leaves the bits of the host rule, and nothing else.
template <class T>
bool same_bits(const std::vector<T>& x, const Shape& shape, const Image& image, float global, bool zero_padding) {
  const DeviceArray<T> device(x);
  reset::QuantizeOptions options;
  options.zero_scale_padding = zero_padding;
  const Image found = run(image, global, [&](const reset::Nvfp4MutableMatrixView& out) {
    return reset::quantize_activations<T>(device.data() + shape.offset, shape.ld, out, options, nullptr);
  });
  return found == expected_image(x, shape, image, global, zero_padding);
}

template <class T>
bool same_bits(const Shape& shape, ScaleLayout layout, std::int64_t slack, std::int64_t offset) {
  const Image image(shape.rows, shape.cols, layout, slack, offset);
  return same_bits(random_rows<T>(shape, 1), shape, image, kGlobal, false) &&
         same_bits(random_rows<T>(shape, 2), shape, image, kGlobal, true);
}

}  // namespace

TEMPLATE_TEST_CASE("device quantisation gives the bits of the host rule at every M", "[gpu]", float, __half,
                   __nv_bfloat16) {
  need_gpu();
  for (const ScaleLayout layout : {ScaleLayout::kLinear, ScaleLayout::kSwizzled128x4}) {
    for (const std::int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 300}) {
      for (const std::int64_t cols : {16, 48, 4112}) {
        CAPTURE(rows, cols);
        CHECK(same_bits<TestType>({rows, cols, cols, 0}, layout, 0, 0));
      }
    }
    CHECK(same_bits<TestType>({3, 4096, 4096, 0}, layout, 0, 0));
    CHECK(same_bits<TestType>({129, 2064, 2080, 0}, layout, 8, 0));
  }
}

TEMPLATE_TEST_CASE("device quantisation takes any stride and alignment", "[gpu]", float, __half, __nv_bfloat16) {
  need_gpu();
  for (const ScaleLayout layout : {ScaleLayout::kLinear, ScaleLayout::kSwizzled128x4}) {
    for (const std::int64_t offset : {0, 1, 3}) {
      CAPTURE(offset);
      CHECK(same_bits<TestType>({5, 4112, 4119, offset}, layout, 0, 0));
      CHECK(same_bits<TestType>({5, 144, 160, offset}, layout, 1, 0));
      CHECK(same_bits<TestType>({5, 144, 144, offset}, layout, 4, offset));
    }
  }
}

TEMPLATE_TEST_CASE("device quantisation gives the bits of the host rule at the ends of the range", "[gpu]", float,
                   __half, __nv_bfloat16) {
  need_gpu();
  const bool half = std::is_same_v<TestType, __half>;
  const float largest = half ? 65504.0f : to_float(from_float<TestType>(0x1.fep127f));
  const float smallest = half ? 0x1p-24f : std::is_same_v<TestType, float> ? 0x1p-149f : 0x1p-133f;
  const Shape shape{2, 256, 256, 0};
  std::vector<TestType> x = random_rows<TestType>(shape, 5);
  const float values[] = {0.0f,     -0.0f,     smallest, -smallest, 3 * smallest, largest, -largest, largest / 2,
                          0x1p-14f, -0x1p-13f, 1.0f,     -1.0f,     6.0f,         5.0f,    2.5f,     -0.25f};
  std::mt19937 random(9);
  for (std::size_t block = 0; block < 16; ++block) {
    for (std::size_t i = 0; i < 16; ++i) {
      // Block b knows the first b + 1 values only: zeros alone, subnormals alone, then all of them.
      x[block * 16 + i] = from_float<TestType>(values[random() % (block + 1)]);
    }
  }
  const Image image(2, 256, ScaleLayout::kLinear, 0, 0);
  for (const float global : {1.0f, 0x1p-126f, 0x1p-100f, 0x1p-20f, 24.37f, largest / 2688, 1e30f}) {
    CAPTURE(global);
    CHECK(same_bits(x, shape, image, global, false));
  }
}

TEST_CASE("device quantisation gives the bits of the host rule around every tie", "[gpu]") {
  need_gpu();
  const float ties[] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};
  const Shape shape{126, 7 * 16, 7 * 16, 0};
  const Image image(shape.rows, shape.cols, ScaleLayout::kLinear, 0, 0);
  std::vector<float> x(elements(shape));
  for (const float global :
       {1.0f, 0x1.fffffep-9f, 0x1.555556p-4f, 0x1.2p-88f, 0x1.8p-95f, 0x1.abcdeep-120f, 0x1.1p+85f, 0x1.3p+100f}) {
    CAPTURE(global);
    // Row r has the block scale with code r + 1: the first value of each block is 6 steps.
    for (std::size_t row = 0; row < 126; ++row) {
      const float step = reset::detail::mul_rn(reset::e4m3_to_float(static_cast<std::uint8_t>(row + 1)), global);
      for (std::size_t k = 0; k < 112; ++k) {
        const float tie = reset::detail::mul_rn(ties[k / 16], step);
        const std::uint32_t near_tie = reset::detail::bits_of(tie) + static_cast<std::uint32_t>(k % 16 / 2) - 4;
        const std::uint32_t sign = static_cast<std::uint32_t>(k % 2) << 31;
        x[row * 112 + k] = k % 16 == 0 ? 6.0f * step : reset::detail::float_from_bits(near_tie | sign);
      }
    }
    CHECK(same_bits(x, shape, image, global, false));
    const Image expected = expected_image(x, shape, image, global, false);
    for (std::size_t row = 0; row < 126; ++row) REQUIRE(expected.scales[row * 7] == row + 1);
  }
}

namespace {

// The largest magnitude of a block whose unrounded scale is, but for what its computation rounds, between the codes
// `code` and `code` + 1; moved by so many ulps.
float amax_near_tie(std::size_t code, float global, int ulps) {
  const double low = static_cast<double>(reset::e4m3_to_float(static_cast<std::uint8_t>(code)));
  const double high = static_cast<double>(reset::e4m3_to_float(static_cast<std::uint8_t>(code + 1)));
  const auto amax = static_cast<float>(3 * (low + high) * static_cast<double>(global));
  return reset::detail::float_from_bits(reset::detail::bits_of(amax) + static_cast<std::uint32_t>(ulps));
}

}  // namespace

// Blocks of one value, which the division by 6 and the one by the global scale make a tie of two scales or nearly, with
// global scales inside and outside of the range in which neither is a division.
TEST_CASE("device quantisation gives the bits of the host rule around every tie of scales", "[gpu]") {
  need_gpu();
  const Shape shape{126, 9 * 16, 9 * 16, 0};
  const Image image(shape.rows, shape.cols, ScaleLayout::kLinear, 0, 0);
  for (const float global : {1.0f, 0x1.fffffep-9f, 0x1.555556p-4f, 0x1.2p-8f, 0x1.9p-7f, 0x1.8p-58f, 0x1p-60f,
                             0x1.fffffep-61f, 0x1.abcdeep-70f, 0x1.5p+50f, 0x1.fffffep+59f, 0x1p+60f, 0x1.3p+100f}) {
    CAPTURE(global);
    std::vector<float> x(elements(shape), 0.0f);
    for (std::size_t code = 0; code < 126; ++code) {
      for (int ulps = -4; ulps <= 4; ++ulps) {
        x[code * 144 + static_cast<std::size_t>(ulps + 4) * 16 + code % 16] = amax_near_tie(code, global, ulps);
      }
    }
    CHECK(same_bits(x, shape, image, global, false));
    const Image expected = expected_image(x, shape, image, global, false);
    int both = 0;  // rows whose blocks fall on both sides of their tie
    for (std::size_t row = 0; row < 126; ++row)
      both += expected.scales[row * 9] != expected.scales[row * 9 + 8] ? 1 : 0;
    REQUIRE(both == 126);
  }
}

TEMPLATE_TEST_CASE("infinities saturate and NaN marks its block", "[gpu]", float, __half, __nv_bfloat16) {
  need_gpu();
  const Shape shape{1, 64, 64, 0};
  std::vector<TestType> x(64, from_float<TestType>(1.0f));
  x[3] = from_float<TestType>(std::numeric_limits<float>::infinity());
  x[20] = from_float<TestType>(-std::numeric_limits<float>::infinity());
  x[40] = from_float<TestType>(std::numeric_limits<float>::quiet_NaN());
  const Image image(1, 64, ScaleLayout::kLinear, 0, 0);
  CHECK(same_bits(x, shape, image, kGlobal, false));
  const Image expected = expected_image(x, shape, image, kGlobal, false);
  CHECK(expected.scales == std::vector<std::uint8_t>{0x7e, 0x7e, 0x7f, expected.scales[3]});
  CHECK(expected.packed[1] >> 4 == 7);
  CHECK((expected.packed[10] & 15) == 15);
}

namespace {

// Values that lie nowhere in memory.
RESET_HOST_DEVICE float computed(std::int64_t row, std::int64_t k) {
  constexpr int kPeriod = 97;
  return 0.375f * static_cast<float>((row * 13 + k * 7) % kPeriod - kPeriod / 2);
}

// A kernel as an engine writes one: a warp of 32 a CTA, of which the last of a row has lanes without values.
__global__ void quantize_computed(reset::Nvfp4MutableMatrixView out, const float* global) {
  const std::int64_t row = blockIdx.y;
  const std::int64_t octet = blockIdx.x * 32 + threadIdx.x;
  float values[8];
  for (int i = 0; i < 8; ++i) values[i] = computed(row, octet * 8 + i);
  reset::quantize_octet(values, row, octet, octet < out.cols / 8, out, global);
}

}  // namespace

TEST_CASE("an engine's kernel quantises what it has computed", "[gpu]") {
  need_gpu();
  const DeviceArray<float> global_in_memory(std::vector<float>{0x1.9p-7f});
  for (const ScaleLayout layout : {ScaleLayout::kLinear, ScaleLayout::kSwizzled128x4}) {
    // Rows of codes at multiples of four bytes, and anywhere, the latter with the global scale in memory.
    for (const std::int64_t odd : {0, 1}) {
      const bool in_memory = odd == 1;
      const Shape shape{5, 4112, 4112, 0};
      std::vector<float> x(elements(shape));
      for (std::int64_t row = 0; row < shape.rows; ++row) {
        for (std::int64_t k = 0; k < shape.cols; ++k) {
          x[static_cast<std::size_t>(row * shape.ld + k)] = computed(row, k);
        }
      }
      const Image image(shape.rows, shape.cols, layout, odd, odd);
      const Image found = run(image, kGlobal, [&](const reset::Nvfp4MutableMatrixView& out) {
        quantize_computed<<<dim3(17, 5), 32>>>(out, in_memory ? global_in_memory.data() : nullptr);
        return validate(out);
      });
      CHECK(found == expected_image(x, shape, image, in_memory ? 0x1.9p-7f : kGlobal, false));
    }
  }
}

TEST_CASE("the global scale may lie in device memory, one that is not valid marks every block", "[gpu]") {
  need_gpu();
  const Shape shape{3, 144, 144, 0};
  const std::vector<__half> x = random_rows<__half>(shape, 7);
  const DeviceArray<__half> device(x);
  const Image image(3, 144, ScaleLayout::kSwizzled128x4, 0, 0);
  for (const float global :
       {0x1.9p-7f, 0.0f, -1.0f, 0x1p-140f, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    CAPTURE(global);
    const DeviceArray<float> in_memory(std::vector<float>{global});
    reset::QuantizeOptions options;
    options.global = in_memory.data();
    const Image found = run(image, 1.0f, [&](const reset::Nvfp4MutableMatrixView& out) {
      return reset::quantize_activations<__half>(device.data(), shape.ld, out, options, nullptr);
    });
    CHECK(found == expected_image(x, shape, image, global, false));
  }
}

TEST_CASE("a part of a swizzled scale tensor is written and its neighbours are not", "[gpu]") {
  need_gpu();
  const Shape shape{140, 80, 80, 0};
  const std::vector<__half> x = random_rows<__half>(shape, 8);
  const DeviceArray<__half> device(x);
  // Rows 100.. and blocks 3.. of a tensor of 300 x 12 blocks; rows of two parts with a global scale each.
  Image image(300, 192, ScaleLayout::kSwizzled128x4, 0, 0);
  const DeviceArray<std::uint8_t> packed(image.packed);
  const DeviceArray<std::uint8_t> scales(image.scales);
  const auto part = [&](std::uint8_t* packed_data, std::uint8_t* scale_data) {
    auto view = col_slice(row_slice(image.view(packed_data, scale_data, kGlobal), 100, 140), 48, 80);
    view.global.count = 2;
    view.global.parts[1] = {33, {0x1.4p-6f}};
    return view;
  };
  REQUIRE(reset::quantize_activations<__half>(device.data(), shape.ld, part(packed.data(), scales.data()), {}, nullptr)
              .ok());
  const auto expected = part(image.packed.data(), image.scales.data());
  for (std::int64_t row = 0; row < 140; ++row) {
    write_row(expected, row, row_of(x, shape, row).data(), expected.global.at(row));
  }
  CHECK(packed.download() == image.packed);
  CHECK(scales.download() == image.scales);
}
