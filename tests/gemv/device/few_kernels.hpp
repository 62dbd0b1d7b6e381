// The entries of launch.cuh with a few kernels, a build of their own: of every family one, and of kTensor the kernel
// that takes another's place.
#pragma once

#include <cuda_runtime_api.h>

#include <reset/gemv/instance.hpp>
#include <reset/gemv/policy.hpp>
#include <reset/gemv/problem.hpp>
#include <reset/status.hpp>

namespace few {

// A policy of a kernel for `size` tokens, or of kRing chunks; what else it has does not matter to the name.
constexpr reset::GemvInstance instance(reset::GemvKernel kernel, int size, const reset::GemvShape& shape,
                                       bool odd_rows = false) {
  reset::GemvPolicy policy{};
  policy.kernel = kernel;
  policy.tokens = policy.chunks = size;
  policy.odd_rows = odd_rows;
  return reset::gemv_instance(policy, shape);
}

inline constexpr auto kNvfp4 = reset::ActivationType::kNvfp4;
inline constexpr auto kBf16 = reset::ActivationType::kBf16;

inline constexpr reset::GemvInstance kTensorWhole =
    instance(reset::GemvKernel::kTensor, 1, reset::aligned_shape(kBf16, 1, 128, 512));
inline constexpr reset::GemvInstance kTensorAnyhow =
    instance(reset::GemvKernel::kTensor, 8, reset::aligned_shape(kBf16, 8, 128, 528));
inline constexpr reset::GemvInstance kTensorRing =
    instance(reset::GemvKernel::kTensorRing, 8, reset::aligned_shape(kBf16, 8, 128, 512));
inline constexpr reset::GemvInstance kTensorRingOdd =
    instance(reset::GemvKernel::kTensorRing, 16, reset::aligned_shape(kNvfp4, 16, 128, 528), true);
inline constexpr reset::GemvInstance kTensorRingSpread = instance(
    reset::GemvKernel::kTensorRing, 1, reset::aligned_shape(kNvfp4, 1, 128, 512, reset::ScaleLayout::kSwizzled128x4));
inline constexpr reset::GemvInstance kRing =
    instance(reset::GemvKernel::kRing, 1, reset::aligned_shape(kNvfp4, 1, 128, 512));

inline constexpr reset::GemvInstance kRingDense =
    instance(reset::GemvKernel::kRing, 1, reset::aligned_shape(kBf16, 1, 128, 512));

inline constexpr reset::GemvInstance kAll[] = {kTensorWhole,      kTensorAnyhow, kTensorRing, kTensorRingOdd,
                                               kTensorRingSpread, kRing,         kRingDense};
using Kernels = reset::detail::Instances<kTensorWhole, kTensorAnyhow, kTensorRing, kTensorRingOdd, kTensorRingSpread,
                                         kRing, kRingDense>;

reset::Status prepare(int device, reset::DeviceInfo& info);
reset::Status run(const reset::GemvProblem& problem, const reset::DeviceInfo& device, bool dependent,
                  cudaStream_t stream);
reset::Status run(const reset::GemvProblem& problem, const reset::GemvPolicy& policy, const reset::DeviceInfo& device,
                  bool dependent, cudaStream_t stream);

// How many calls each of them has served.
class Coverage {
 public:
  // The one that serves a call with a policy, or null if none does.
  int* of(const reset::GemvPolicy& policy, const reset::GemvProblem& problem) {
    const reset::GemvInstance serving = Kernels::serving(reset::gemv_instance(policy, shape_of(problem)));
    for (int i = 0; i < kCount; ++i) {
      if (kAll[i] == serving) return &calls_[i];
    }
    return nullptr;
  }
  // How many of those that the device runs have served fewer than `least`.
  int missing(const reset::DeviceInfo& device, int least) const {
    int count = 0;
    for (int i = 0; i < kCount; ++i) {
      const bool runs = device.arch >= 90 || reset::detail::kernel_of(kAll[i]) == reset::GemvKernel::kTensor;
      count += runs && calls_[i] < least ? 1 : 0;
    }
    return count;
  }

 private:
  static constexpr int kCount = sizeof kAll / sizeof kAll[0];
  int calls_[kCount] = {};
};

}  // namespace few
