/// @file
/// What every kernel of this library and its launcher share: their namespace, the launch, and both ends of a
/// programmatic dependent launch.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include <reset/config.hpp>
#include <reset/status.hpp>

/// @cond
#define RESET_ARCH_JOIN_(a, b, c, d, e, f, g, h, ...) arch_##a##_##b##_##c##_##d##_##e##_##f##_##g##_##h
#define RESET_ARCH_EXPAND_(...) RESET_ARCH_JOIN_(__VA_ARGS__)
/// @endcond

/// Name of the inline namespace that kernels and launchers live in, public ones in `reset`, others in `reset::detail`.
/// It tells the architectures this translation unit is compiled for, so that two libraries of one process which were
/// built for different ones keep their own. All of them are `static` besides: the list cannot tell 90 from 90a.
#if defined(__CUDA_ARCH_LIST__)
#define RESET_ARCH_NAMESPACE RESET_ARCH_EXPAND_(__CUDA_ARCH_LIST__, 0, 0, 0, 0, 0, 0, 0, 0)
#else
#define RESET_ARCH_NAMESPACE arch_any
#endif

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// Waits until the kernels before this one in the stream are complete and their writes visible. Every kernel calls it
/// before its first read of what another may write, its first write and its exit. Nothing without a dependent launch.
static __device__ __forceinline__ void wait_for_dependencies() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

static __device__ __forceinline__ std::uint64_t known_bits(std::uint64_t value) { return value; }
static __device__ __forceinline__ std::uint64_t known_bits(int value) { return static_cast<std::uint64_t>(value); }
static __device__ __forceinline__ std::uint64_t known_bits(const void* address) {
  return reinterpret_cast<std::uint64_t>(address);
}

/// The same, when what a kernel has to know for its first reads has been worked out: addresses, and whatever else the
/// compiler would otherwise look up behind the wait. Parameters of a launch come from memory, some after others, which
/// there would be up to .2 us of every launch.
template <class... Known>
static __device__ __forceinline__ void wait_for_dependencies(Known... known) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  // An address is not 0: a condition that the compiler does not see through keeps the arithmetic in front.
  asm volatile(
      "{\n"
      ".reg .pred known;\n"
      "setp.ne.u64 known, %0, 0;\n"
      "@known griddepcontrol.wait;\n"
      "}" ::"l"((known_bits(known) | ...))
      : "memory");
#endif
}

/// Lets the next kernel of the stream start, if it was launched as a dependent; it still waits for this one to end.
static __device__ __forceinline__ void release_dependents() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/// The shape of one launch.
struct LaunchShape {
  dim3 grid = dim3(1);           ///< CTAs.
  dim3 block = dim3(1);          ///< Threads of a CTA.
  std::size_t shared_bytes = 0;  ///< Dynamic shared memory of a CTA.
  bool dependent = false;        ///< May start before the kernel ahead of it in the stream has ended.
  int cluster = 1;               ///< CTAs of a cluster, which the grid is a multiple of; 1 below sm_90.
};

/// What a call of the runtime returned: its own error, not one that an earlier call left behind.
static inline Status cuda_status(const char* call, cudaError_t error) noexcept {
  if (error == cudaSuccess) return Status();
  const bool unsupported = error == cudaErrorNoKernelImageForDevice || error == cudaErrorInvalidDeviceFunction;
  if (!unsupported) return Status(StatusCode::kCudaError, call, static_cast<int>(error), cudaGetErrorString(error));
  return Status(StatusCode::kUnsupported, call, static_cast<int>(error),
                "cudaSuccess, 0: compile for the device's architecture");
}

/// Whether a dependent launch can be: code for targets before sm_90 has no wait in it.
static inline Status check_dependent_launch(bool dependent, int arch) noexcept {
  if (!dependent || arch >= 90) return Status();
  return {StatusCode::kUnsupported, "device.arch", arch, "90 or later for dependent_launch"};
}

/// Whether a device is the current one: on another a kernel would be cut for what it does not have, and find memory
/// that is not its own.
static inline Status check_current_device(int device) noexcept {
  int current = 0;
  const Status status = cuda_status("cudaGetDevice", cudaGetDevice(&current));
  if (!status.ok() || device == current) return status;
  return {StatusCode::kInvalidArgument, "device.device", device, "the ordinal of the current device"};
}

/// The first and the last of the targets that this translation unit is compiled for, as 90; 0 and 999 if not known.
struct TargetRange {
  int least;
  int most;
};
static constexpr TargetRange compiled_targets() noexcept {
#if defined(__CUDA_ARCH_LIST__)
  TargetRange range = {999, 0};
  for (const int arch : {__CUDA_ARCH_LIST__}) {
    range.least = arch / 10 < range.least ? arch / 10 : range.least;
    range.most = arch / 10 > range.most ? arch / 10 : range.most;
  }
  return range;
#else
  return {0, 999};
#endif
}

/// The same of a kernel, for which no description of a device tells the target: the device takes the newest that it
/// can, PTX for sm_80 among them. The runtime is asked only where the targets of this translation unit leave it open.
template <class... Parameters>
static Status check_dependent_launch(bool dependent, void (*kernel)(Parameters...)) noexcept {
  constexpr TargetRange kTargets = compiled_targets();
  if (!dependent || kTargets.least >= 90) return Status();
  int target = kTargets.most;
  if (target >= 90) {
    cudaFuncAttributes attributes = {};
    const auto* function = reinterpret_cast<const void*>(kernel);
    const Status status = cuda_status("cudaFuncGetAttributes", cudaFuncGetAttributes(&attributes, function));
    if (!status.ok()) return status;
    target = attributes.ptxVersion;
  }
  return check_dependent_launch(true, target).named("target");
}

/// Launches `kernel` on `stream` with the arguments converted to its parameters.
template <class... Parameters, class... Arguments>
static Status launch(void (*kernel)(Parameters...), const LaunchShape& shape, cudaStream_t stream,
                     Arguments&&... arguments) noexcept {
  cudaLaunchAttribute attributes[2] = {};
  unsigned count = 0;
  if (shape.dependent) {
    attributes[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[count++].val.programmaticStreamSerializationAllowed = 1;
  }
  if (shape.cluster > 1) {
    attributes[count].id = cudaLaunchAttributeClusterDimension;
    attributes[count++].val.clusterDim = {static_cast<unsigned>(shape.cluster), 1, 1};
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = count;
  return cuda_status("cudaLaunchKernelEx", cudaLaunchKernelEx(&config, kernel, static_cast<Arguments&&>(arguments)...));
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
