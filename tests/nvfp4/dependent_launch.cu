// Code for targets before sm_90 knows no wait: launched as a dependent it is refused, on devices that could wait, too.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include <reset/nvfp4/dequantize.cuh>
#include <reset/nvfp4/quantize.cuh>

#include "nvfp4/device_support.cuh"

namespace {

void need_gpu_before_sm_100() {
  device_test::need_gpu();
  int major = 0;
  REQUIRE(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0) == cudaSuccess);
  if (major < 10) return;
  std::cout << "skipped: the GPU is of sm_100 or later" << std::endl;
  std::exit(test_support::kSkipped);
}

}  // namespace

TEST_CASE("code that knows no wait is not launched as a dependent", "[host][gpu]") {
  // Where the file is compiled for sm_100a, too, it is the device that tells which code runs.
  if (reset::detail::compiled_targets().most >= 90) need_gpu_before_sm_100();
  // Host memory in the place of device memory: a refused call touches neither.
  std::vector<__half> x(64);
  std::vector<__half> values(32);
  std::vector<std::uint8_t> packed(16);
  std::vector<std::uint8_t> scales(2);
  const reset::Nvfp4MutableMatrixView out{packed.data(),
                                          1,
                                          32,
                                          16,
                                          {scales.data(), reset::ScaleLayout::kLinear, 2, 0, 0},
                                          reset::FusedGlobalScales::uniform({1.0f})};
  const reset::RmsNorm<__half> norm{values.data(), 1e-6f, nullptr, 0};
  reset::QuantizeOptions options;
  reset::DequantizeOptions decode;
  options.dependent_launch = decode.dependent_launch = true;
  const std::string refused = "unsupported: target is 80, expected 90 or later for dependent_launch";
  CHECK(reset::quantize_activations(x.data(), 64, out, options, nullptr).message() == refused);
  CHECK(reset::rms_norm_quantize(x.data(), 64, norm, out, options, nullptr).message() == refused);
  CHECK(reset::silu_mul_quantize(x.data(), 64, reset::GateOrder::kGateUp, out, options, nullptr).message() == refused);
  CHECK(reset::dequantize_matrix(out, values.data(), 32, decode, nullptr).message() == refused);
}
