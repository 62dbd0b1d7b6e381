/// @file
/// The mat-vec: validates a call, chooses a kernel and launches it.
///
/// For one file of the engine that nvcc compiles, for sm_80 or later; others see `problem.hpp`, `policy.hpp` and
/// `launch_options.hpp` and call a function of their own in it. Every file that calls `gemv` has kernels of its own,
/// and readies them itself.
#pragma once

#if !defined(__CUDACC__)
#error \
    "reset/gemv/launch.cuh holds kernels: include it where nvcc compiles, and problem.hpp, policy.hpp and launch_options.hpp elsewhere"
#endif
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "the mat-vec of reset needs sm_80 or later: set CMAKE_CUDA_ARCHITECTURES, or the -arch of nvcc"
#endif

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/gemv/cuda_core.cuh>
#include <reset/gemv/detail/odd_rows.hpp>
#include <reset/gemv/launch_options.hpp>
#include <reset/gemv/policy.hpp>
#include <reset/gemv/prefetch.hpp>
#include <reset/gemv/problem.hpp>
#include <reset/gemv/tensor_core.cuh>
#include <reset/gemv/tensor_ring.cuh>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

namespace detail {

inline TensorShape tensor_shape(const GemvProblem& problem, const GemvPolicy& policy, std::int64_t clusters) noexcept {
  const Nvfp4MatrixView& w = problem.weights;
  const ActivationView& x = problem.activations;
  const bool nvfp4 = x.type == ActivationType::kNvfp4;
  const std::int64_t stride = nvfp4 ? x.nvfp4.row_stride : x.row_stride * 2;
  const void* begin = nvfp4 ? static_cast<const void*>(x.nvfp4.packed) : x.dense;
  return {cut(static_cast<int>(output_runs(w.rows, problem.gate != GemvGate::kNone)), static_cast<int>(clusters)),
          cut(k_units(w.cols), policy.slices),
          policy.slices,
          policy.k_warps,
          weight_alignment(w),
          row_alignment(begin, problem.tokens > 1 ? stride : 0)};
}

inline RingShape ring_shape(const GemvProblem& problem, const GemvPolicy& policy, const DeviceInfo& device,
                            Cut tiles) noexcept {
  const Nvfp4MatrixView& w = problem.weights;
  const bool contiguous = w.row_stride == w.cols / 2 && w.block_scale.stride == w.blocks();
  const RingFlight in_flight = stages_in_flight(policy, device, ring_stage_bytes(policy.chunks, w.cols));
  return {tiles, policy.warps_per_group, policy.groups, policy.stages, in_flight, contiguous};
}

inline TensorRingShape tensor_ring_shape(const GemvProblem& problem, const GemvPolicy& policy, const DeviceInfo& device,
                                         std::int64_t clusters, std::int64_t tiles, bool words) noexcept {
  const TensorShape shape = tensor_shape(problem, policy, clusters);
  const int log_cluster = policy.cluster == 8 ? 3 : policy.cluster / 2;  // of 1, 2, 4 or 8
  return {shape.runs,
          shape.units,
          policy.k_warps,
          policy.row_groups,
          policy.stages,
          stages_in_flight(policy, device, tensor_stage_bytes(policy.k_warps, policy.odd_rows)),
          static_cast<int>(ceil_div(tiles, policy.cluster)),
          words,
          log_cluster,
          shape.activation_alignment,
          odd_step(problem.gate != GemvGate::kNone, policy.row_groups, problem.weights.block_scale.stride)};
}

using TensorRingKernel = void (*)(GemvProblem, TensorRingShape, WeightMaps, Prefetch);
using TensorKernel = void (*)(GemvProblem, TensorShape, Prefetch);
using RingKernel = void (*)(GemvProblem, RingShape, CUtensorMap, Prefetch);

inline namespace RESET_ARCH_NAMESPACE {

// All that names a kernel is a template, so that a file which includes this header and calls nothing compiles none.

template <class = void>
static TensorKernel tensor_kernel(int tokens, bool whole) noexcept {
  if (tokens == 1) return whole ? gemv_tensor<1, true> : gemv_tensor<1, false>;
  if (tokens == 8) return whole ? gemv_tensor<8, true> : gemv_tensor<8, false>;
  return whole ? gemv_tensor<16, true> : gemv_tensor<16, false>;
}

template <TokenKind kKind, RingRows kRows>
static TensorRingKernel tensor_ring_kernel_of(int tokens) noexcept {
  return tokens == 1   ? gemv_tensor_ring<1, kKind, kRows>
         : tokens == 8 ? gemv_tensor_ring<8, kKind, kRows>
                       : gemv_tensor_ring<16, kKind, kRows>;
}

/// For odd rows, which are rare, one kernel serves all activations.
template <class = void>
static TensorRingKernel tensor_ring_kernel(int tokens, bool nvfp4, RingRows rows) noexcept {
  if (rows == RingRows::kOdd) return tensor_ring_kernel_of<TokenKind::kAny, RingRows::kOdd>(tokens);
  const bool spread = rows == RingRows::kSpread;
  if (nvfp4) {
    return spread ? tensor_ring_kernel_of<TokenKind::kNvfp4, RingRows::kSpread>(tokens)
                  : tensor_ring_kernel_of<TokenKind::kNvfp4, RingRows::kNeighbours>(tokens);
  }
  return spread ? tensor_ring_kernel_of<TokenKind::kDense, RingRows::kSpread>(tokens)
                : tensor_ring_kernel_of<TokenKind::kDense, RingRows::kNeighbours>(tokens);
}

template <class = void>
static RingKernel ring_kernel(int chunks, bool spread) noexcept {
  switch (chunks) {
    case 1:
      return spread ? gemv_ring<1, ring_rows(1), true> : gemv_ring<1, ring_rows(1), false>;
    case 2:
      return gemv_ring<2, ring_rows(2), false>;
    case 3:
      return gemv_ring<3, ring_rows(3), false>;
    default:
      return gemv_ring<5, ring_rows(5), false>;
  }
}

static inline LaunchShape launch_shape(std::int64_t ctas, dim3 block, std::int64_t shared, const LaunchOptions& options,
                                       int cluster) noexcept {
  return {dim3(static_cast<unsigned>(ctas)), block, static_cast<std::size_t>(shared), options.dependent_launch,
          cluster};
}

/// Tiles of a call's largest share of outputs.
static inline std::int64_t largest_share(const GemvProblem& problem, std::int64_t clusters) noexcept {
  const bool gated = problem.gate != GemvGate::kNone;
  return share_tiles(output_runs(problem.weights.rows, gated), gated, clusters);
}

template <class = void>
static Status launch_tensor(const GemvProblem& problem, const GemvPolicy& policy, const DeviceInfo& device,
                            const LaunchOptions& options, cudaStream_t stream) noexcept {
  const std::int64_t ctas = tensor_clusters(policy, shape_of(problem), device);
  const dim3 block(static_cast<unsigned>(32 * policy.k_warps), static_cast<unsigned>(policy.row_groups));
  const std::int64_t shared = tensor_shared_bytes(policy, largest_share(problem, ctas));
  return launch(tensor_kernel(policy.tokens, copies_are_whole(shape_of(problem))),
                launch_shape(ctas, block, shared, options, 1), stream, problem, tensor_shape(problem, policy, ctas),
                options.prefetch);
}

template <class = void>
static Status launch_tensor_ring(const GemvProblem& problem, const GemvPolicy& policy, const DeviceInfo& device,
                                 const LaunchOptions& options, cudaStream_t stream) noexcept {
  const std::int64_t clusters = tensor_clusters(policy, shape_of(problem), device);
  const std::int64_t tiles = largest_share(problem, clusters);
  WeightMaps maps{};
  RingRows rows = RingRows::kOdd;
  bool words = false;
  if (!policy.odd_rows) {
    const ScaleCopies copies = scale_copies(shape_of(problem));
    rows = copies == ScaleCopies::kTiles ? RingRows::kSpread : RingRows::kNeighbours;
    words = copies == ScaleCopies::kWords;
    const Status status = encode_weights(device, problem.weights, policy.k_warps, copies, maps);
    if (!status.ok()) return status;
  }
  const std::int64_t shared = exclusive_shared_bytes(policy, device, tensor_shared_bytes(policy, tiles));
  const dim3 block(static_cast<unsigned>(cta_threads(policy, words)));
  const LaunchShape shape = launch_shape(clusters * policy.cluster, block, shared, options, policy.cluster);
  const bool nvfp4 = problem.activations.type == ActivationType::kNvfp4;
  return launch(tensor_ring_kernel(policy.tokens, nvfp4, rows), shape, stream, problem,
                tensor_ring_shape(problem, policy, device, clusters, tiles, words), maps, options.prefetch);
}

template <class = void>
static Status launch_ring(const GemvProblem& problem, const GemvPolicy& policy, const DeviceInfo& device,
                          const LaunchOptions& options, cudaStream_t stream) noexcept {
  const bool spread = ring_scales_are_spread(shape_of(problem), policy.chunks);
  CUtensorMap scales{};
  const Status status = spread ? encode_ring_scales(device, problem.weights, scales) : Status();
  if (!status.ok()) return status;
  const std::int64_t tiles = ceil_div(problem.weights.rows, ring_rows(policy.chunks));
  const std::int64_t most = std::int64_t{device.sm_count} * policy.ctas_per_sm;
  const std::int64_t ctas = tiles < most ? tiles : most;
  const LaunchShape shape =
      launch_shape(ctas, dim3(static_cast<unsigned>(cta_threads(policy))),
                   exclusive_shared_bytes(policy, device, ring_shared_bytes(policy, problem.weights.cols)), options, 1);
  return launch(ring_kernel(policy.chunks, spread), shape, stream, problem,
                ring_shape(problem, policy, device, cut(static_cast<int>(tiles), static_cast<int>(ctas))), scales,
                options.prefetch);
}

/// Whether `device` describes the current one: launched on another, a kernel would have a cut that is not its own, and
/// attributes that nobody has set.
template <class = void>
static Status check_current(const DeviceInfo& device) noexcept {
  int current = 0;
  const Status status = cuda_status("cudaGetDevice", cudaGetDevice(&current));
  if (!status.ok() || device.device == current) return status;
  return invalid("device.device", device.device, "the ordinal of the current device");
}

/// Launches a well-formed call if the policy can serve it.
template <class = void>
static Status launch_gemv(const GemvProblem& problem, const GemvPolicy& policy, const DeviceInfo& device,
                          const LaunchOptions& options, cudaStream_t stream) noexcept {
  Status status = validate(policy, problem, device);
  if (status.ok()) status = check_dependent_launch(options.dependent_launch, device.arch);
  if (status.ok()) status = validate(options.prefetch);
  if (status.ok()) status = check_current(device);
  if (!status.ok()) return status;
  if (policy.kernel == GemvKernel::kRing) return launch_ring(problem, policy, device, options, stream);
  return policy.kernel == GemvKernel::kTensorRing ? launch_tensor_ring(problem, policy, device, options, stream)
                                                  : launch_tensor(problem, policy, device, options, stream);
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

template <class = void>
static Status allow_shared_memory(const DeviceInfo& info) noexcept {
  for (const int tokens : {1, 8, 16}) {
    for (const bool whole : {false, true}) {
      const Status status = allow_shared_memory(tensor_kernel(tokens, whole), info.shared_bytes);
      if (!status.ok()) return status;
    }
  }
  if (info.arch < 90) return Status();
  for (const int tokens : {1, 8, 16}) {
    for (const RingRows rows : {RingRows::kNeighbours, RingRows::kSpread, RingRows::kOdd}) {
      for (const bool nvfp4 : {false, true}) {
        const Status status = allow_shared_memory(tensor_ring_kernel(tokens, nvfp4, rows), info.shared_bytes);
        if (!status.ok()) return status;
      }
    }
  }
  for (const int chunks : {1, 2, 3, 5}) {
    const Status status = allow_shared_memory(ring_kernel(chunks, false), info.shared_bytes);
    if (!status.ok()) return status;
  }
  return allow_shared_memory(ring_kernel(1, true), info.shared_bytes);
}

/// Not every multiprocessor can be part of a cluster: their number in a group need not be a multiple of it.
template <class = void>
static Status count_clusters(DeviceInfo& info) noexcept {
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
    const cudaError_t error = cudaOccupancyMaxActiveClusters(&info.clusters[i], tensor_kernel(8, true), &config);
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

template <class = void>
static Status prepare_current(int device, DeviceInfo& info) noexcept {
  DeviceInfo found;
  found.device = device;
  cudaFuncAttributes attributes{};
  // Kernels run as the newest target they were compiled for that the device takes, which need not be its own.
  Status status =
      cuda_status("cudaFuncGetAttributes",
                  cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(tensor_kernel(8, true))));
  found.arch = attributes.ptxVersion;
  if (status.ok()) {
    status = cuda_status("cudaDeviceGetAttribute",
                         cudaDeviceGetAttribute(&found.sm_count, cudaDevAttrMultiProcessorCount, device));
  }
  if (status.ok()) {
    status = cuda_status("cudaDeviceGetAttribute",
                         cudaDeviceGetAttribute(&found.shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  }
  if (status.ok()) status = allow_shared_memory(found);
  if (status.ok() && found.arch >= 90) found.memory_bandwidth = find_memory_bandwidth(device);
  if (status.ok() && found.arch >= 90) status = count_clusters(found);
  if (status.ok() && found.arch >= 90) status = find_encode_tensor_map(found.encode_tensor_map);
  if (status.ok()) info = found;
  return status;
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail

inline namespace RESET_ARCH_NAMESPACE {

/// Readies a device for `gemv` and fills `info`. Call it once a device, from the translation unit that launches: the
/// kernels are private to it, and with those of another one `gemv` fails with kCudaError for want of shared memory. The
/// current device is the same afterwards. Fails, `info` untouched, where the runtime does: with kUnsupported if the
/// file was not compiled for the device, with kCudaError otherwise.
template <class = void>
static Status gemv_prepare(int device, DeviceInfo& info) noexcept {
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
/// A call that `validate` refuses, or that the policy cannot serve, launches nothing and returns why: kInvalidArgument,
/// or kUnsupported where the device lacks what the policy asks for. kCudaError, with the runtime's code, where the
/// launch fails.
///
/// Error bound of a sum before the epilogue, element by element, u = 2^-24:
/// - kRing: (K / 512 + 64) u sum_k |x_k W_nk|; the sums of 16 are exact, the others float.
/// - kTensor, kTensorRing: (336 + K / 256) u sum_k [x_k] [W_nk] over the k at which neither is 0. [W_nk] is |W_nk|,
///   but at least the global scale, [x_k] is |x_k|, but at least 2^-14 (fp16), the global scale (NVFP4), or 2^-29 of
///   the largest of the 256 of K that it is one of (bfloat16). Products of halves are exact; a warp adds 256 of them in
///   two chains of 8 mma, each of which aligns 17 terms to the largest, by exponents in which subnormal halves count
///   as normal, and may cut off 2 u of it from each and from the sum; then come its chains, warps and slices in float.
///   A kernel for one token has a chain of 4 mma for each block of 16 instead, whose sum it scales: an element of 0.5
///   counts as 1 there, which may double what is cut off, but by half as many mma. Sums are finite as long as none
///   that a lane, a warp or a slice has before the global scale leaves float. Bfloat16 becomes half after a power of
///   two has moved the largest of the 256 below 2^16: add 2^-40 of that largest times the sum of the 256 |W_nk|.
///   Bfloat16 below 2^-126 counts as 0 where the engine flushes subnormals.
///
/// The epilogue is float arithmetic with one rounding at the store. A NaN block scale makes its own row of the result
/// NaN and no other; a NaN or an infinity in a token its own token.
template <class = void>
static Status gemv(const GemvProblem& problem, const GemvPolicy& policy, const DeviceInfo& device,
                   const LaunchOptions& options, cudaStream_t stream) noexcept {
  const Status status = validate(problem);
  return status.ok() ? detail::launch_gemv(problem, policy, device, options, stream) : status;
}

/// The mat-vec with the cut that `select_gemv_policy` chooses.
template <class = void>
static Status gemv(const GemvProblem& problem, const DeviceInfo& device, const LaunchOptions& options,
                   cudaStream_t stream) noexcept {
  const Status status = validate(problem);
  if (!status.ok()) return status;
  return detail::launch_gemv(problem, select_gemv_policy(device, problem), device, options, stream);
}

}  // namespace RESET_ARCH_NAMESPACE
RESET_NAMESPACE_END
