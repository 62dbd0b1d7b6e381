/// @file
/// The mat-vec: validates a call, chooses a kernel and launches it.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/gemv/cuda_core.cuh>
#include <reset/gemv/general.cuh>
#include <reset/gemv/policy.hpp>
#include <reset/gemv/problem.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// How a call is launched.
struct LaunchOptions {
  /// Programmatic dependent launch: the kernel may begin while the one before it in the stream still runs, requests
  /// its weights, and waits for that kernel's end before it reads anything else or writes. In return no kernel before
  /// it in the chain of dependent launches may write weights, block scales or global scales.
  bool dependent = false;
};

namespace detail {

inline Status cuda_status(const char* call, cudaError_t error) noexcept {
  if (error == cudaSuccess) return Status();
  return Status(StatusCode::kCudaError, call, static_cast<int>(error), "cudaSuccess");
}

/// The largest power of two, at most 16, that divides every address of rows that begin at `begin`, `stride` apart.
inline int row_alignment(const void* begin, std::int64_t stride) noexcept {
  const std::uintptr_t bits = address(begin) | static_cast<std::uintptr_t>(stride) | 16u;
  return static_cast<int>(bits & (~bits + 1));
}

inline GeneralShape general_shape(const GemvProblem& problem, const GemvPolicy& policy) noexcept {
  const ActivationView& x = problem.activations;
  const bool nvfp4 = x.type == ActivationType::kNvfp4;
  const std::int64_t stride = nvfp4 ? x.nvfp4.row_stride : x.row_stride * 2;
  const void* begin = nvfp4 ? static_cast<const void*>(x.nvfp4.packed) : x.dense;
  return {policy.slices, row_alignment(problem.weights.packed, problem.weights.row_stride),
          row_alignment(begin, problem.tokens > 1 ? stride : 0)};
}

inline RingShape ring_shape(const GemvProblem& problem, const GemvPolicy& policy) noexcept {
  const Nvfp4MatrixView& w = problem.weights;
  const bool contiguous = w.row_stride == w.cols / 2 && w.block_scale.stride == w.blocks();
  return {policy.warps_per_group, policy.groups, policy.stages, contiguous};
}

using GeneralKernel = void (*)(GemvProblem, GeneralShape);
using RingKernel = void (*)(GemvProblem, RingShape);

inline namespace RESET_ARCH_NAMESPACE {

template <ActivationType kType, int kTokens>
static GeneralKernel general_kernel_of() noexcept {
  return gemv_general<kType, kTokens, general_rows(kType, kTokens)>;
}

template <ActivationType kType>
static GeneralKernel general_kernel(int tokens) noexcept {
  switch (tokens) {
    case 1:
      return general_kernel_of<kType, 1>();
    case 2:
      return general_kernel_of<kType, 2>();
    case 4:
      return general_kernel_of<kType, 4>();
    case 8:
      return general_kernel_of<kType, 8>();
    default:
      return general_kernel_of<kType, 16>();
  }
}

template <int kTokens>
static RingKernel ring_kernel(int chunks) noexcept {
  switch (chunks) {
    case 1:
      return gemv_ring<kTokens, 1, ring_rows(1)>;
    case 2:
      return gemv_ring<kTokens, 2, ring_rows(2)>;
    case 3:
      return gemv_ring<kTokens, 3, ring_rows(3)>;
    default:
      return gemv_ring<kTokens, 5, ring_rows(5)>;
  }
}

static inline LaunchShape launch_shape(std::int64_t ctas, int threads, std::int64_t shared,
                                       const LaunchOptions& options) noexcept {
  return {dim3(static_cast<unsigned>(ctas)), dim3(static_cast<unsigned>(threads)), static_cast<std::size_t>(shared),
          options.dependent};
}

static inline Status launch_general(const GemvProblem& problem, const GemvPolicy& policy, const LaunchOptions& options,
                                    cudaStream_t stream) noexcept {
  const ActivationType type = problem.activations.type;
  const GeneralKernel kernel = type == ActivationType::kNvfp4  ? general_kernel<ActivationType::kNvfp4>(policy.tokens)
                               : type == ActivationType::kFp16 ? general_kernel<ActivationType::kFp16>(policy.tokens)
                                                               : general_kernel<ActivationType::kBf16>(policy.tokens);
  const int rows = general_rows(type, policy.tokens);
  const std::int64_t tiles = (problem.weights.rows + rows - 1) / rows;
  const std::int64_t tiles_per_cta = kGeneralThreads / 32 / policy.slices;
  const LaunchShape shape = launch_shape((tiles + tiles_per_cta - 1) / tiles_per_cta, kGeneralThreads, 0, options);
  return launch(kernel, shape, stream, problem, general_shape(problem, policy));
}

static inline Status launch_ring(const GemvProblem& problem, const GemvPolicy& policy, const DeviceInfo& device,
                                 const LaunchOptions& options, cudaStream_t stream) noexcept {
  const RingKernel kernel = policy.tokens == 1 ? ring_kernel<1>(policy.chunks) : ring_kernel<2>(policy.chunks);
  const int rows = ring_rows(policy.chunks);
  const std::int64_t tiles = (problem.weights.rows + rows - 1) / rows;
  const std::int64_t most = std::int64_t{device.sm_count} * policy.ctas_per_sm;
  const LaunchShape shape = launch_shape(tiles < most ? tiles : most, cta_threads(policy),
                                         ring_shared_bytes(policy, problem.weights.cols), options);
  return launch(kernel, shape, stream, problem, ring_shape(problem, policy));
}

static inline Status allow_shared_memory(int bytes) noexcept {
  for (const int chunks : {1, 2, 3, 5}) {
    for (const RingKernel kernel : {ring_kernel<1>(chunks), ring_kernel<2>(chunks)}) {
      const auto* function = reinterpret_cast<const void*>(kernel);
      cudaError_t error = cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
      // The next kernel's CTA, its ring already on its way, should fit beside this one's.
      if (error == cudaSuccess) {
        error = cudaFuncSetAttribute(function, cudaFuncAttributePreferredSharedMemoryCarveout,
                                     cudaSharedmemCarveoutMaxShared);
      }
      if (error != cudaSuccess) return cuda_status("cudaFuncSetAttribute", error);
    }
  }
  return Status();
}

static inline Status prepare_current(int device, DeviceInfo& info) noexcept {
  DeviceInfo found;
  found.device = device;
  cudaFuncAttributes attributes{};
  // Kernels run as the newest target they were compiled for that the device takes, which need not be its own.
  Status status = cuda_status("cudaFuncGetAttributes",
                              cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(ring_kernel<1>(1))));
  found.arch = attributes.ptxVersion;
  if (status.ok()) {
    status = cuda_status("cudaDeviceGetAttribute",
                         cudaDeviceGetAttribute(&found.sm_count, cudaDevAttrMultiProcessorCount, device));
  }
  if (status.ok()) {
    status = cuda_status("cudaDeviceGetAttribute",
                         cudaDeviceGetAttribute(&found.shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  }
  if (status.ok() && found.arch >= 90) status = allow_shared_memory(found.shared_bytes);
  if (status.ok()) info = found;
  return status;
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail

inline namespace RESET_ARCH_NAMESPACE {

/// Readies a device for `gemv` and fills `info`. Call it once a device, from the translation unit that launches: the
/// kernels are private to it. The current device is the same afterwards. Fails with kCudaError, `info` untouched, where
/// the runtime does.
static inline Status gemv_prepare(int device, DeviceInfo& info) noexcept {
  int before = 0;
  Status status = detail::cuda_status("cudaGetDevice", cudaGetDevice(&before));
  if (status.ok()) status = detail::cuda_status("cudaSetDevice", cudaSetDevice(device));
  if (!status.ok()) return status;
  status = detail::prepare_current(device, info);
  const Status restored = detail::cuda_status("cudaSetDevice", cudaSetDevice(before));
  return status.ok() ? restored : status;
}

/// The mat-vec of `problem` (see GemvProblem) with a given cut, on a stream of the current device, which must be the
/// one that `device` describes. Allocates nothing, waits for nothing, can be captured in a graph; several threads may
/// call it.
///
/// A call that `validate` refuses, or that the policy cannot serve, launches nothing and returns why.
///
/// Error bound of a sum before the epilogue, element by element, u = 2^-24: (K / 512 + 64) u sum_k |x_k W_nk| for NVFP4
/// activations (the sums of 16 are exact), (K / 32 + 64) u sum_k |x_k W_nk| for 16-bit ones. The epilogue is float
/// arithmetic with one rounding at the store. A NaN block scale makes its own row of the result NaN and no other.
static inline Status gemv(const GemvProblem& problem, const GemvPolicy& policy, const DeviceInfo& device,
                          const LaunchOptions& options, cudaStream_t stream) noexcept {
  Status status = validate(problem);
  if (status.ok()) status = validate(policy, problem, device);
  if (!status.ok()) return status;
  return policy.kernel == GemvKernel::kRing ? detail::launch_ring(problem, policy, device, options, stream)
                                            : detail::launch_general(problem, policy, options, stream);
}

/// The mat-vec with the cut that `select_gemv_policy` chooses.
static inline Status gemv(const GemvProblem& problem, const DeviceInfo& device, const LaunchOptions& options,
                          cudaStream_t stream) noexcept {
  const Status status = validate(problem);
  if (!status.ok()) return status;
  return gemv(problem, select_gemv_policy(device.arch, problem), device, options, stream);
}

}  // namespace RESET_ARCH_NAMESPACE
RESET_NAMESPACE_END
