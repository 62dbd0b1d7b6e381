// The engine's small kernels by themselves, where no checkpoint of these tests reaches.
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "device_buffer.hpp"
#include "rows.hpp"
#include "support/catch.hpp"

namespace {

constexpr std::int64_t kRows = 3;

double value(const std::vector<__nv_bfloat16>& x, std::int64_t i) {
  return static_cast<double>(__bfloat162float(x[static_cast<std::size_t>(i)]));
}

std::vector<__nv_bfloat16> rms_norm_of(const std::vector<__nv_bfloat16>& x, const std::vector<__nv_bfloat16>& weight) {
  const engine::cuda::DeviceBuffer<__nv_bfloat16> on_device(x);
  const engine::cuda::DeviceBuffer<__nv_bfloat16> weights(weight);
  engine::cuda::DeviceBuffer<__nv_bfloat16> out(x.size());
  const auto cols = static_cast<std::int64_t>(weight.size());
  engine::cuda::rms_norm(on_device.data(), weights.data(), 1e-6F, kRows, cols, out.data(), {nullptr, false});
  std::vector<__nv_bfloat16> found(x.size());
  REQUIRE(cudaMemcpy(found.data(), out.data(), x.size() * sizeof(__nv_bfloat16), cudaMemcpyDeviceToHost) ==
          cudaSuccess);
  return found;
}

// Elements that are further off than a rounding to bfloat16 and a little.
std::int64_t wrong(const std::vector<__nv_bfloat16>& x, const std::vector<__nv_bfloat16>& weight,
                   const std::vector<__nv_bfloat16>& found) {
  const auto cols = static_cast<std::int64_t>(weight.size());
  std::int64_t count = 0;
  for (std::int64_t row = 0; row < kRows; ++row) {
    double squares = 0;
    for (std::int64_t i = 0; i < cols; ++i) squares += value(x, row * cols + i) * value(x, row * cols + i);
    const double factor = 1 / std::sqrt(squares / static_cast<double>(cols) + 1e-6);
    for (std::int64_t i = 0; i < cols; ++i) {
      const double expected = value(x, row * cols + i) * factor * value(weight, i);
      count += std::fabs(value(found, row * cols + i) - expected) <= std::fabs(expected) * 0x1.01p-8 ? 0 : 1;
    }
  }
  return count;
}

}  // namespace

// One octet a thread, two, and threads without any.
TEST_CASE("RMSNorm of any number of octets is right", "[rows]") {
  for (const std::int64_t cols : {8, 264, 4096, 8192, 8200, 16384}) {
    CAPTURE(cols);
    std::vector<__nv_bfloat16> x;
    std::vector<__nv_bfloat16> weight;
    for (std::int64_t i = 0; i < kRows * cols; ++i) {
      x.push_back(__float2bfloat16(static_cast<float>((i * 7919) % 1009 - 504) / 64.0F));
    }
    for (std::int64_t i = 0; i < cols; ++i) weight.push_back(__float2bfloat16(static_cast<float>(i % 61) / 32.0F));
    CHECK(wrong(x, weight, rms_norm_of(x, weight)) == 0);
  }
}
