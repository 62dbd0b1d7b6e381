/// @file
/// The kernels by their instances, and what of a device they are readied with.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/gemv/cuda_core.cuh>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/tensor_map.cuh>
#include <reset/gemv/detail/token_fragments.cuh>
#include <reset/gemv/device_info.hpp>
#include <reset/gemv/instance.hpp>
#include <reset/gemv/prefetch.hpp>
#include <reset/gemv/problem.hpp>
#include <reset/gemv/tensor_core.cuh>
#include <reset/gemv/tensor_ring.cuh>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

using TensorRingKernel = void (*)(GemvProblem, TensorRingShape, WeightMaps, Prefetch);
using TensorKernel = void (*)(GemvProblem, TensorShape, Prefetch);
using RingKernel = void (*)(GemvProblem, RingShape, CUtensorMap, Prefetch);

inline namespace RESET_ARCH_NAMESPACE {

// All that names a kernel is a template, so that a file which includes this header compiles those that it calls alone.

template <GemvInstance kInstance>
static auto kernel_function() noexcept {
  static_assert(EveryInstance::has(kInstance), "no kernel: the policy of this instance serves no call");
  constexpr int kSize = size_of(kInstance);
  constexpr int kVariant = variant_of(kInstance);
  if constexpr (kernel_of(kInstance) == GemvKernel::kTensor) {
    return &gemv_tensor<kSize, kVariant == 1>;
  } else if constexpr (kernel_of(kInstance) == GemvKernel::kRing) {
    return &gemv_ring<kSize, ring_rows(kSize), static_cast<RingOperands>(kVariant)>;
  } else {
    constexpr auto kRows = static_cast<RingRows>(kVariant / 2);
    constexpr TokenKind kKind = kRows == RingRows::kOdd ? TokenKind::kAny
                                : kVariant % 2 == 1     ? TokenKind::kNvfp4
                                                        : TokenKind::kDense;
    return &gemv_tensor_ring<kSize, kKind, kRows>;
  }
}

template <GemvInstance kInstance, class Kernel>
static void take_kernel(GemvInstance wanted, Kernel& found) noexcept {
  if constexpr (std::is_same_v<decltype(kernel_function<kInstance>()), Kernel>) {
    if (kInstance == wanted) found = kernel_function<kInstance>();
  }
}

/// The kernel of an instance that is one of a list.
template <class Kernel, GemvInstance... kInstances>
static Kernel find_kernel(Instances<kInstances...>, GemvInstance wanted) noexcept {
  Kernel found = nullptr;
  (take_kernel<kInstances>(wanted, found), ...);
  return found;
}

/// Lets a kernel have as much shared memory as a CTA can, and the multiprocessor set as much aside, so that a CTA of
/// the next kernel may fit beside this one's where their cuts leave room.
template <class Kernel>
static Status allow_shared_memory(Kernel* kernel, int bytes) noexcept {
  const auto* function = reinterpret_cast<const void*>(kernel);
  cudaError_t error = cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (error == cudaSuccess) {
    error =
        cudaFuncSetAttribute(function, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared);
  }
  return cuda_status("cudaFuncSetAttribute", error);
}

/// Those kernels that the device runs: the rings want sm_90.
template <GemvInstance... kInstances>
static Status allow_shared_memory(Instances<kInstances...>, const DeviceInfo& info) noexcept {
  Status status;
  const auto allow = [&](GemvInstance instance, auto* kernel) {
    const bool runs = info.arch >= 90 || kernel_of(instance) == GemvKernel::kTensor;
    if (status.ok() && runs) status = allow_shared_memory(kernel, info.shared_bytes);
  };
  (allow(kInstances, kernel_function<kInstances>()), ...);
  return status;
}

/// Not every multiprocessor can be part of a cluster: their number in a group need not be a multiple of it. Asked of
/// any kernel.
template <class Kernel>
static Status count_clusters(Kernel* kernel, DeviceInfo& info) noexcept {
  for (int i = 0; i < 3; ++i) {
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {2u << i, 1, 1};
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(static_cast<unsigned>(info.sm_count) / (2u << i) * (2u << i));
    config.blockDim = dim3(32 * tensor_max_warps(8));
    // More than half of a multiprocessor's: one CTA each.
    config.dynamicSmemBytes = static_cast<std::size_t>(info.shared_bytes);
    config.attrs = &attribute;
    config.numAttrs = 1;
    const cudaError_t error = cudaOccupancyMaxActiveClusters(&info.clusters[i], kernel, &config);
    if (error != cudaSuccess) return cuda_status("cudaOccupancyMaxActiveClusters", error);
  }
  return Status();
}

/// The bandwidth of a device's memory in GB/s: two transfers a clock. 0 where the driver does not say.
template <class = void>
static int find_memory_bandwidth(int device) noexcept {
  int kilohertz = 0;
  int bits = 0;
  if (cudaDeviceGetAttribute(&kilohertz, cudaDevAttrMemoryClockRate, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&bits, cudaDevAttrGlobalMemoryBusWidth, device) != cudaSuccess) {
    cudaGetLastError();  // nobody's business: the figure is a hint
    return 0;
  }
  return static_cast<int>(std::int64_t{2} * kilohertz * (bits / 8) / 1000000);
}

/// Readies these kernels on the current device, which is `device`, and describes it.
template <GemvInstance kFirst, GemvInstance... kOthers>
static Status prepare_current(Instances<kFirst, kOthers...> all, int device, DeviceInfo& info) noexcept {
  DeviceInfo found;
  found.device = device;
  cudaFuncAttributes attributes{};
  // Kernels run as the newest target they were compiled for that the device takes, which need not be its own.
  Status status =
      cuda_status("cudaFuncGetAttributes",
                  cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(kernel_function<kFirst>())));
  found.arch = attributes.ptxVersion;
  if (status.ok()) {
    status = cuda_status("cudaDeviceGetAttribute",
                         cudaDeviceGetAttribute(&found.sm_count, cudaDevAttrMultiProcessorCount, device));
  }
  if (status.ok()) {
    status = cuda_status("cudaDeviceGetAttribute",
                         cudaDeviceGetAttribute(&found.shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  }
  if (status.ok()) status = allow_shared_memory(all, found);
  if (status.ok() && found.arch >= 90) found.memory_bandwidth = find_memory_bandwidth(device);
  if (status.ok() && found.arch >= 90) status = count_clusters(kernel_function<kFirst>(), found);
  if (status.ok() && found.arch >= 90) status = find_encode_tensor_map(found.encode_tensor_map);
  if (status.ok()) info = found;
  return status;
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
