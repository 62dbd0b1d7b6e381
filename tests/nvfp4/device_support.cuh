// Device memory, input values and expected images for the tests of the device quantisers.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdlib>
#include <random>
#include <vector>

#include <reset/nvfp4/quantize.hpp>

#include "support/catch.hpp"
#include "support/gpu.hpp"

namespace device_test {

constexpr std::uint8_t kPoison = 0xa5;

// Ends the program as skipped where there is no GPU.
inline void need_gpu() {
  if (!test_support::has_gpu()) std::exit(test_support::kSkipped);
}

// Device memory that owns a copy of host values.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<T>& values) : size_(values.size()) {
    REQUIRE(cudaMalloc(&data_, size_ * sizeof(T)) == cudaSuccess);
    upload(values);
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  void upload(const std::vector<T>& values) {
    REQUIRE(values.size() == size_);
    REQUIRE(cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice) == cudaSuccess);
  }
  std::vector<T> download() const {
    std::vector<T> values(size_);
    REQUIRE(cudaMemcpy(values.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost) == cudaSuccess);
    return values;
  }
  T* data() const { return data_; }

 private:
  T* data_ = nullptr;
  std::size_t size_;
};

inline float to_float(float x) { return x; }
inline float to_float(__half x) { return __half2float(x); }
inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

template <class T>
T from_float(float x);
template <>
inline float from_float(float x) {
  return x;
}
template <>
inline __half from_float(float x) {
  return __float2half_rn(x);
}
template <>
inline __nv_bfloat16 from_float(float x) {
  return __float2bfloat16_rn(x);
}

inline std::uint32_t bits(float x) { return reset::detail::bits_of(x); }
inline std::uint32_t bits(__half x) { return __half_as_ushort(x); }
inline std::uint32_t bits(__nv_bfloat16 x) { return __bfloat16_as_ushort(x); }

// Rows of a matrix inside memory that holds more: `ld` elements apart, the first `offset` elements in.
struct Shape {
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t ld;
  std::int64_t offset;
};

inline std::size_t elements(const Shape& shape) {
  return static_cast<std::size_t>(shape.offset + shape.rows * shape.ld);
}

// Values of many magnitudes, blocks of zeros, blocks far below the rest, ties; NaN in the gaps between the rows.
template <class T>
std::vector<T> random_rows(const Shape& shape, unsigned seed, float scale = 1.0f) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<T> values(elements(shape), from_float<T>(std::numeric_limits<float>::quiet_NaN()));
  for (std::int64_t row = 0; row < shape.rows; ++row) {
    for (std::int64_t k = 0; k < shape.cols; ++k) {
      const unsigned kind = static_cast<unsigned>(row * 31 + k / 16) % 11;
      const float block = kind == 0 ? 0.0f : kind == 1 ? 1e-5f : kind == 2 ? 30.0f : 1.0f;
      float value = normal(random) * block * scale;
      // Quarters are ties at many power-of-two scales.
      if (kind >= 3 && kind <= 5) value = 0.25f * static_cast<float>(static_cast<int>(random() % 49) - 24);
      values[static_cast<std::size_t>(shape.offset + row * shape.ld + k)] = from_float<T>(value);
    }
  }
  return values;
}

template <class T>
std::vector<float> row_of(const std::vector<T>& values, const Shape& shape, std::int64_t row) {
  std::vector<float> out(static_cast<std::size_t>(shape.cols));
  for (std::int64_t k = 0; k < shape.cols; ++k) {
    out[static_cast<std::size_t>(k)] = to_float(values[static_cast<std::size_t>(shape.offset + row * shape.ld + k)]);
  }
  return out;
}

// The result of a quantiser, in memory that is poisoned beforehand and longer than it need be.
struct Image {
  std::vector<std::uint8_t> packed;
  std::vector<std::uint8_t> scales;
  std::int64_t rows, cols, row_stride, packed_offset, scale_stride;
  reset::ScaleLayout layout;

  Image(std::int64_t M, std::int64_t K, reset::ScaleLayout scale_layout, std::int64_t slack, std::int64_t offset)
      : packed(static_cast<std::size_t>(M * (K / 2 + slack) + offset), kPoison),
        scales(static_cast<std::size_t>(reset::scale_bytes(scale_layout, M, K / 16)), kPoison),
        rows(M),
        cols(K),
        row_stride(K / 2 + slack),
        packed_offset(offset),
        scale_stride(reset::scale_stride(scale_layout, K / 16)),
        layout(scale_layout) {}

  reset::Nvfp4MutableMatrixView view(std::uint8_t* packed_data, std::uint8_t* scale_data, float global) const {
    return {packed_data + packed_offset,
            rows,
            cols,
            row_stride,
            {scale_data, layout, scale_stride, 0, 0},
            reset::FusedGlobalScales::uniform({global})};
  }
  bool operator==(const Image& other) const { return packed == other.packed && scales == other.scales; }
};

// What the header says of blocks that hold a NaN, the host rule for all others.
inline reset::Nvfp4Block expected_block(const float* x, reset::GlobalScale global) {
  for (int i = 0; i < 16; ++i) {
    if (reset::detail::is_nan(x[i])) return {0x7f, {}};
  }
  if (!reset::is_valid(global)) return {0x7f, {}};
  return reset::RoundToNearest()(x, global);
}

inline void write_row(const reset::Nvfp4MutableMatrixView& out, std::int64_t row, const float* y,
                      reset::GlobalScale global) {
  for (std::int64_t block = 0; block < out.blocks(); ++block) {
    const reset::Nvfp4Block expected = expected_block(y + block * 16, global);
    for (int i = 0; i < 8; ++i) out.packed[row * out.row_stride + block * 8 + i] = expected.packed[i];
    out.block_scale.data[out.block_scale.offset(row, block)] = expected.scale;
  }
}

// Clears every scale of `image` that belongs to no row or block.
inline void clear_padding(Image& image) {
  for (std::size_t i = 0; i < image.scales.size(); ++i) {
    const reset::ScaleCoordinate at =
        reset::scale_coordinate(image.layout, image.scale_stride, static_cast<std::int64_t>(i));
    if (at.row >= image.rows || at.block >= image.cols / 16) image.scales[i] = 0;
  }
}

// Runs `launch(view)` on poisoned device memory of the shape of `image` and returns what it left there.
template <class Launch>
Image run(const Image& image, float global, Launch&& launch) {
  const Image fresh(image.rows, image.cols, image.layout, image.row_stride - image.cols / 2, image.packed_offset);
  const DeviceArray<std::uint8_t> packed(fresh.packed);
  const DeviceArray<std::uint8_t> scales(fresh.scales);
  const reset::Status status = launch(fresh.view(packed.data(), scales.data(), global));
  INFO(status.message());
  REQUIRE(status.ok());
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  Image result = fresh;
  result.packed = packed.download();
  result.scales = scales.download();
  return result;
}

}  // namespace device_test
