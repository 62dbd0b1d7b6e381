/// @file
/// The mat-vec: validates a call, chooses a kernel and launches it.
///
/// For one file of the engine that nvcc compiles, for sm_80 or later; others include `reset.hpp`, or of this room what
/// they need, and call a function of their own in it. Every file that calls `gemv` has kernels of its own,
/// and readies them itself.
#pragma once

#if !defined(__CUDACC__)
#error \
    "reset/gemv/launch.cuh holds kernels: include it where nvcc compiles, and problem.hpp, policy.hpp and launch_options.hpp elsewhere"
#else
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "the mat-vec of reset needs sm_80 or later: set CMAKE_CUDA_ARCHITECTURES, or the -arch of nvcc"
#endif

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/gemv/cuda_core.cuh>
#include <reset/gemv/detail/kernels.cuh>
#include <reset/gemv/detail/odd_rows.hpp>
#include <reset/gemv/instance.hpp>
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
  const RingOperands operands = ring_operands(problem.activations.type, w.block_scale.layout);
  const RingFlight in_flight = stages_in_flight(policy, device, ring_stage_bytes(policy.chunks, operands, w.cols));
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
          tensor_ring_flight(policy, device, problem.tokens, tiles),
          static_cast<int>(ceil_div(tiles, policy.cluster)),
          words,
          log_cluster,
          shape.activation_alignment,
          odd_step(problem.gate != GemvGate::kNone, policy.row_groups, problem.weights.block_scale.stride)};
}

inline namespace RESET_ARCH_NAMESPACE {

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

static inline Status launch_tensor(TensorKernel kernel, const GemvProblem& problem, const GemvPolicy& policy,
                                   const DeviceInfo& device, const LaunchOptions& options,
                                   cudaStream_t stream) noexcept {
  const std::int64_t ctas = tensor_clusters(policy, shape_of(problem), device);
  const dim3 block(static_cast<unsigned>(32 * policy.k_warps), static_cast<unsigned>(policy.row_groups));
  const std::int64_t shared = tensor_shared_bytes(policy, largest_share(problem, ctas));
  return launch(kernel, launch_shape(ctas, block, shared, options, 1), stream, problem,
                tensor_shape(problem, policy, ctas), options.prefetch);
}

static inline Status launch_tensor_ring(TensorRingKernel kernel, const GemvProblem& problem, const GemvPolicy& policy,
                                        const DeviceInfo& device, const LaunchOptions& options,
                                        cudaStream_t stream) noexcept {
  const std::int64_t clusters = tensor_clusters(policy, shape_of(problem), device);
  const std::int64_t tiles = largest_share(problem, clusters);
  WeightMaps maps{};
  bool words = false;
  if (!policy.odd_rows) {
    const ScaleCopies copies = scale_copies(shape_of(problem));
    words = copies == ScaleCopies::kWords;
    const Status status = encode_weights(device, problem.weights, policy.k_warps, copies, maps);
    if (!status.ok()) return status;
  }
  const std::int64_t shared = exclusive_shared_bytes(policy, device, tensor_shared_bytes(policy, tiles));
  const dim3 block(static_cast<unsigned>(cta_threads(policy, words)));
  const LaunchShape shape = launch_shape(clusters * policy.cluster, block, shared, options, policy.cluster);
  return launch(kernel, shape, stream, problem, tensor_ring_shape(problem, policy, device, clusters, tiles, words),
                maps, options.prefetch);
}

static inline Status launch_ring(RingKernel kernel, const GemvProblem& problem, const GemvPolicy& policy,
                                 const DeviceInfo& device, const LaunchOptions& options, cudaStream_t stream) noexcept {
  const Nvfp4MatrixView& w = problem.weights;
  const RingOperands operands = ring_operands(problem.activations.type, w.block_scale.layout);
  CUtensorMap scales{};
  const Status status = operands == RingOperands::kSpread ? encode_ring_scales(device, w, scales) : Status();
  if (!status.ok()) return status;
  const std::int64_t tiles = ceil_div(w.rows, ring_rows(policy.chunks));
  const std::int64_t most = std::int64_t{device.sm_count} * policy.ctas_per_sm;
  const std::int64_t ctas = tiles < most ? tiles : most;
  const std::int64_t shared = ring_shared_bytes(policy, problem.activations.type, w.cols, w.block_scale.layout);
  const LaunchShape shape = launch_shape(ctas, dim3(static_cast<unsigned>(cta_threads(policy))),
                                         exclusive_shared_bytes(policy, device, shared), options, 1);
  return launch(kernel, shape, stream, problem,
                ring_shape(problem, policy, device, cut(static_cast<int>(tiles), static_cast<int>(ctas))), scales,
                options.prefetch);
}

/// Launches a well-formed call if the policy can serve it, and one of the kernels of `List` is the policy's.
template <class List>
static Status launch_gemv(const GemvProblem& problem, const GemvPolicy& policy, const DeviceInfo& device,
                          const LaunchOptions& options, cudaStream_t stream) noexcept {
  const GemvShape shape = shape_of(problem);
  const GemvInstance wanted = gemv_instance(policy, shape);
  Status status = validate(policy, shape, device);
  if (status.ok()) status = List::check(wanted, shape);
  if (status.ok()) status = check_dependent_launch(options.dependent_launch, device.arch);
  if (status.ok()) status = validate(options.prefetch);
  if (status.ok()) status = check_current_device(device.device);
  if (!status.ok()) return status;
  const GemvInstance serving = List::serving(wanted);
  switch (policy.kernel) {
    case GemvKernel::kRing:
      return launch_ring(find_kernel<RingKernel>(List(), serving), problem, policy, device, options, stream);
    case GemvKernel::kTensorRing:
      return launch_tensor_ring(find_kernel<TensorRingKernel>(List(), serving), problem, policy, device, options,
                                stream);
    case GemvKernel::kTensor:
      break;
  }
  return launch_tensor(find_kernel<TensorKernel>(List(), serving), problem, policy, device, options, stream);
}

/// What the template arguments of an entry stand for.
template <GemvInstance... kInstances>
using Chosen = std::conditional_t<sizeof...(kInstances) == 0, EveryInstance, Instances<kInstances...>>;

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail

inline namespace RESET_ARCH_NAMESPACE {

/// Readies a device for `gemv` and fills `info`. Call it once a device, from the translation unit that launches: the
/// kernels are private to it, and with those of another one `gemv` fails with kCudaError for want of shared memory. The
/// current device is the same afterwards. Fails, `info` untouched, where the runtime does: with kUnsupported if the
/// file was not compiled for the device, with kCudaError otherwise.
///
/// With instances as template arguments it readies these kernels alone, and compiles no others: those that the calls of
/// `gemv` name.
template <GemvInstance... kInstances>
static Status gemv_prepare(int device, DeviceInfo& info) noexcept {
  int before = 0;
  Status status = detail::cuda_status("cudaGetDevice", cudaGetDevice(&before));
  if (status.ok()) status = detail::cuda_status("cudaSetDevice", cudaSetDevice(device));
  if (!status.ok()) return status;
  status = detail::prepare_current(detail::Chosen<kInstances...>(), device, info);
  const Status restored = detail::cuda_status("cudaSetDevice", cudaSetDevice(before));
  return status.ok() ? restored : status;
}

/// The mat-vec of `problem` (see GemvProblem) with a given cut, on a stream of the current device, which must be the
/// one that `device` describes (else kInvalidArgument). Allocates nothing, waits for nothing, can be captured in a
/// graph; several threads may call it.
///
/// A call that `validate` refuses, or that the policy cannot serve, launches nothing and returns why: kInvalidArgument,
/// or kUnsupported where the device lacks what the policy asks for. kCudaError, with the runtime's code, where the
/// launch fails.
///
/// A file that calls it compiles all 28 kernels. With instances as template arguments, `gemv<kFirst, kSecond>(...)`, it
/// compiles these alone, each what `gemv_instance` makes of a policy and a shape, and a call that none of them serves
/// is refused with kUnsupported, by what of it or of its policy they have not. kTensor's kernel for weights that lie
/// anyhow (`gemv_fallback_instance`) serves those that lie well, too, slower; nothing else takes another's place.
/// `gemv_prepare` wants the same instances.
///
/// Error bound of a sum before the epilogue, element by element, u = 2^-24:
/// - kRing: (K / 512 + 64) u sum_k |x_k W_nk|; the sums of 16 are exact, the others float. Activations of 16 bits are
///   rounded, 16 by 16, to multiples of 2^-14 of the power of two at or below the largest of them, or of 2^-126: add R
///   (1 + (K / 512 + 64) u), R being, of each 16, 2^-15 of their largest magnitude, or 2^-127 if that is more, times
///   the sum of their |W_nk|. Where the largest is 2^-112 or more, bfloat16 of 2^-7 of it and more, half of 2^-4 and
///   more, are exact. Bfloat16 below 2^-126 may count as 0 where the engine flushes subnormals. Sums are finite as long
///   as twice each sum of 16 activations times elements is, before scales. Of several infinities in one 16 an infinity
///   may come where IEEE arithmetic gives a NaN.
/// - kTensor, kTensorRing: (336 + K / 256) u sum_k [x_k] [W_nk] over the k at which neither is 0. [W_nk] is |W_nk|,
///   but at least the global scale, [x_k] is |x_k|, but at least 2^-14 (fp16), the global scale (NVFP4), or 2^-29 of
///   the largest of the 256 of K that it is one of (bfloat16). Products of halves are exact; a warp adds 256 of them in
///   two chains of 8 mma, each of which aligns 17 terms to the largest, by exponents in which subnormal halves count
///   as normal, and may cut off 2 u of it from each and from the sum; then come its chains, warps and slices in float.
///   A kernel for one token has a chain of 4 mma for each block of 16 instead, whose sum it scales: an element of 0.5
///   counts as 1 there, which may double what is cut off, but by half as many mma. Sums are finite as long as none
///   that a lane, a warp or a slice has before the global scale leaves float. Bfloat16 becomes half after a power of
///   two has moved the largest of the 256 below 2^16: add 2^-40 of that largest times the sum of the 256 |W_nk|.
///   Bfloat16 below 2^-126 may count as 0 where the engine flushes subnormals.
///
/// The epilogue is float arithmetic with one rounding at the store. Global scales, alpha and bias add 6 u (|alpha sum|
/// + |bias|) to the bound. The SiLU of a gate is `reset::silu`, under fast-math too: where gate and up are within
/// d_gate and d_up, and U = |up| + d_up, their product is within 1.1 d_gate U + |silu(gate)| (d_up + 17 u U) + 2^-118 U
/// + 2^-126. A NaN block scale makes its own row of the result NaN and no other; a NaN or an infinity in a token its
/// own token.
template <GemvInstance... kInstances>
static Status gemv(const GemvProblem& problem, const GemvPolicy& policy, const DeviceInfo& device,
                   const LaunchOptions& options, cudaStream_t stream) noexcept {
  const Status status = validate(problem);
  if (!status.ok()) return status;
  return detail::launch_gemv<detail::Chosen<kInstances...>>(problem, policy, device, options, stream);
}

/// The mat-vec with the cut that `select_gemv_policy` chooses for it and, of a dependent launch, `options.ahead`. It
/// knows nothing of instances: where they are given and the choice is none of theirs, the call is refused.
template <GemvInstance... kInstances>
static Status gemv(const GemvProblem& problem, const DeviceInfo& device, const LaunchOptions& options,
                   cudaStream_t stream) noexcept {
  const Status status = validate(problem);
  if (!status.ok()) return status;
  const GemvAhead ahead = options.dependent_launch ? options.ahead : GemvAhead::kAny;
  const GemvPolicy policy = select_gemv_policy(device, problem, ahead);
  return detail::launch_gemv<detail::Chosen<kInstances...>>(problem, policy, device, options, stream);
}

}  // namespace RESET_ARCH_NAMESPACE
RESET_NAMESPACE_END

#endif
