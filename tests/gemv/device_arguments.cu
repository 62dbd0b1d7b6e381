// What the entry refuses, in words; none of it reaches a device, so it needs none.
#include <string>

#include "gemv/device_fixture.hpp"
#include "gemv/malformed.hpp"
#include "gemv/problem_fixture.hpp"
#include "support/catch.hpp"

#include <reset/gemv/launch.cuh>

namespace {

// A kernel that serves every call of up to 8 tokens.
constexpr reset::GemvShape kAnyhow = reset::aligned_shape(reset::ActivationType::kBf16, 8, 128, 528);
constexpr reset::GemvInstance kInstance = reset::gemv_instance(reset::GemvPolicy{}, kAnyhow);

reset::Status launch(const reset::GemvProblem& problem, int arch, const reset::LaunchOptions& options) {
  const reset::DeviceInfo device = device_of(arch);
  return reset::gemv<kInstance>(problem, reset::tensor_policy(device, problem.tokens, problem.weights.cols), device,
                                options, nullptr);
}

}  // namespace

TEST_CASE("a malformed call is refused by the entry, under the name of what is wrong with it", "[host]") {
  malformed::for_each([](const Malformed& call) {
    reset::GemvProblem problem = well_formed(call.activation, 4, 300, 512);
    call.change(problem);
    for (const bool pinned : {false, true}) {
      const reset::Status status =
          pinned ? launch(problem, 90, {}) : reset::gemv<kInstance>(problem, device_of(90), {}, nullptr);
      INFO(status.message());
      CHECK(status.code() == reset::StatusCode::kInvalidArgument);
      CHECK(std::string(status.argument()) == call.argument);
    }
  });
}

TEST_CASE("a dependent launch is refused before sm_90", "[host]") {
  const reset::GemvProblem problem = well_formed(reset::ActivationType::kBf16, 4, 300, 512);
  reset::LaunchOptions options;
  options.dependent_launch = true;
  for (const int arch : {80, 86, 89}) {
    CHECK(launch(problem, arch, options).message() ==
          "unsupported: device.arch is " + std::to_string(arch) + ", expected 90 or later for dependent_launch");
  }
}

TEST_CASE("a policy without a kernel in this file, and a prefetch that holds nothing, are refused", "[host]") {
  const reset::GemvProblem problem = well_formed(reset::ActivationType::kBf16, 9, 300, 512);
  CHECK(launch(problem, 90, {}).message() ==
        "unsupported: policy.tokens is 16, expected those of an instance of that kernel which gemv was given");
  reset::LaunchOptions options;
  options.prefetch.count = 7;
  CHECK(launch(well_formed(reset::ActivationType::kBf16, 4, 300, 512), 90, options).message() ==
        "invalid argument: prefetch.count is 7, expected 0..6");
}

TEST_CASE("that the file was not compiled for a device is told from other errors of the runtime", "[host]") {
  for (const cudaError_t error : {cudaErrorNoKernelImageForDevice, cudaErrorInvalidDeviceFunction}) {
    const reset::Status status = reset::detail::cuda_status("cudaFuncGetAttributes", error);
    CHECK(status.code() == reset::StatusCode::kUnsupported);
    CHECK(std::string(status.expectation()) == "cudaSuccess, 0: compile for the device's architecture");
  }
  CHECK(reset::detail::cuda_status("cudaSetDevice", cudaErrorInvalidDevice).code() == reset::StatusCode::kCudaError);
}
