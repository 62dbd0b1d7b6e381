/// @file
/// `ReSETSampler` on the device: the launchers.
///
/// @code
/// reset::SamplerDevice device;
/// reset::throw_if_failed(reset::sampler_prepare(0, device));
/// using Sampler = reset::ReSETSampler<Detector, reset::DeviceBackend>;
/// Sampler sampler(config, max_rows, device, memory, detector);  // Sampler::memory_bytes(config, max_rows) at `memory`
/// reset::throw_if_failed(reset::sampler_initialize(sampler, stream));
/// reset::throw_if_failed(reset::sampler_add(sampler, slot, request, stream));  // when the request arrives
/// reset::SamplerCall<reset::BFloat16> call{logits, rows, count, tokens};       // of __nv_bfloat16, by a cast
/// reset::throw_if_failed(reset::sampler_step(sampler, call, {}, stream));      // every token
/// @endcode
///
/// The current device must be the sampler's: launches on another are refused.
///
/// For one file of the engine that nvcc compiles, for sm_80 or later; others see `device_sampler.hpp`. No launcher
/// allocates, throws or, sampler_export into pageable memory aside, waits, and each can be captured in a graph.
#pragma once

#if !defined(__CUDACC__)
#error "reset/sampler/reset_sampler.cuh holds kernels: include it where nvcc compiles, and device_sampler.hpp elsewhere"
#else
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "the sampler of reset needs sm_80 or later: set CMAKE_CUDA_ARCHITECTURES, or the -arch of nvcc"
#endif

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include <reset/sampler/detail/device_policy.hpp>
#include <reset/sampler/detail/device_sample.cuh>
#include <reset/sampler/detail/device_slots.cuh>
#include <reset/sampler/device_sampler.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

template <class Detector>
static SamplerView<Detector> view_of(const ReSETSampler<Detector, DeviceBackend>& sampler) noexcept {
  const SamplerConfig& config = sampler.config();
  using Memory = SamplerMemory<typename Detector::State>;
  return {Memory::at(sampler.memory(), config, sampler.max_rows()),
          sampler.detector(),
          config.vocabulary,
          config.row_stride != 0 ? config.row_stride : config.vocabulary,
          config.slots,
          config.rows_per_slot,
          config.rank};
}

/// Whether an array, or null, begins where its elements can.
template <class Element>
static Status check_alignment(const char* name, const Element* array) noexcept {
  const std::uintptr_t remainder = reinterpret_cast<std::uintptr_t>(array) % alignof(Element);
  if (remainder == 0) return {};
  return {StatusCode::kInvalidArgument, name, remainder, "aligned to its elements (the value is the remainder)"};
}

template <class Detector, class T>
static Status check_call(const ReSETSampler<Detector, DeviceBackend>& sampler, const SamplerCall<T>& call,
                         const SamplerLaunch& options) noexcept {
  constexpr StatusCode kInvalid = StatusCode::kInvalidArgument;
  if (call.count < 0 || call.count > sampler.max_rows()) {
    return Status(kInvalid, "count", call.count, "0..max_rows").bounded(sampler.max_rows());
  }
  if (call.count > 0 && call.logits == nullptr) return {kInvalid, "logits", 0, "a pointer to device memory"};
  if (call.count > 0 && call.rows == nullptr) return {kInvalid, "rows", 0, "a pointer to device memory"};
  Status status = check_alignment("logits", call.logits);
  if (status.ok()) status = check_alignment("rows", call.rows);
  if (status.ok()) status = check_alignment("tokens", call.tokens);
  if (status.ok()) status = check_alignment("results", call.results);
  if (status.ok()) status = check_alignment("draft_probabilities", call.draft_probabilities);
  if (status.ok()) status = check_alignment("quantiles.data", call.quantiles.data);
  if (status.ok()) status = check_alignment("entropy_logits", call.entropy_logits);
  if (!status.ok()) return status;
  if (call.entropy_logits != nullptr && !sampler.config().entropy_logits) {
    return {kInvalid, "config.entropy_logits", 0, "true where a call has entropy_logits"};
  }
  const SamplerPolicy& policy = options.policy;
  if (policy.parts < 0 || policy.parts > 256) return {kInvalid, "policy.parts", policy.parts, "0..256"};
  if (policy.chunk_warps != 0 && policy.chunk_warps != 1 && policy.chunk_warps != 4) {
    return {kInvalid, "policy.chunk_warps", policy.chunk_warps, "0, 1 or 4"};
  }
  return check_dependent_launch(options.dependent_launch, sampler.device().arch);
}

template <class Detector>
static Status check_commit(const ReSETSampler<Detector, DeviceBackend>& sampler, const SamplerCommit& commit) noexcept {
  constexpr StatusCode kInvalid = StatusCode::kInvalidArgument;
  if (commit.slots == nullptr) return {kInvalid, "slots", 0, "a pointer to device memory"};
  if (commit.counts == nullptr) return {kInvalid, "counts", 0, "a pointer to device memory"};
  Status status = check_alignment("slots", commit.slots);
  if (status.ok()) status = check_alignment("counts", commit.counts);
  if (status.ok()) status = check_alignment("tokens", commit.tokens);
  if (status.ok()) status = check_alignment("quantiles.data", commit.quantiles.data);
  return status.ok() ? check_current_device(sampler.device().device) : status;
}

template <class Detector, class T>
static Status launch_rows(const ReSETSampler<Detector, DeviceBackend>& sampler, const SamplerCall<T>& call,
                          SampleMode mode, const SamplerLaunch& options, cudaStream_t stream) noexcept {
  Status status = check_call(sampler, call, options);
  if (!status.ok() || call.count == 0) return status;
  status = check_current_device(sampler.device().device);
  if (!status.ok()) return status;
  const int chunks = static_cast<int>(chunk_count(static_cast<std::size_t>(sampler.config().vocabulary)));
  const bool other_entropy = call.entropy_logits != nullptr;
  SamplerPolicy wanted = options.policy;
  if (other_entropy) wanted.chunk_warps = 1;  // one kernel for what is seldom asked for
  const SamplerPolicy policy = choose_policy(wanted, chunks, call.count, sampler.device().sm_count);
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(policy.parts), static_cast<unsigned>(call.count));
  shape.block = dim3(kSamplerThreads);
  shape.dependent = options.dependent_launch;
  const auto kernel = other_entropy             ? sample_rows<Detector, T, 1, true>
                      : policy.chunk_warps == 4 ? sample_rows<Detector, T, 4, false>
                                                : sample_rows<Detector, T, 1, false>;
  return launch(kernel, shape, stream, view_of(sampler), call, mode);
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail

inline namespace RESET_ARCH_NAMESPACE {

/// Fills `info` for the launchers of this file. The current device is the same afterwards. Fails, `info` untouched,
/// where the runtime does: with kUnsupported if the file was not compiled for the device, with kCudaError otherwise.
template <class = void>
static Status sampler_prepare(int device, SamplerDevice& info) noexcept {
  int before = 0;
  Status status = detail::cuda_status("cudaGetDevice", cudaGetDevice(&before));
  if (status.ok()) status = detail::cuda_status("cudaSetDevice", cudaSetDevice(device));
  if (!status.ok()) return status;
  SamplerDevice found;
  found.device = device;
  cudaFuncAttributes attributes{};
  const auto* kernel = reinterpret_cast<const void*>(detail::mark_unused<void>);
  status = detail::cuda_status("cudaFuncGetAttributes", cudaFuncGetAttributes(&attributes, kernel));
  found.arch = attributes.ptxVersion;
  if (status.ok()) {
    status = detail::cuda_status("cudaDeviceGetAttribute",
                                 cudaDeviceGetAttribute(&found.sm_count, cudaDevAttrMultiProcessorCount, device));
  }
  if (status.ok()) info = found;
  const Status restored = detail::cuda_status("cudaSetDevice", cudaSetDevice(before));
  return status.ok() ? restored : status;
}

/// Makes the memory of a new sampler ready: no slot is in use.
template <class Detector>
static Status sampler_initialize(const ReSETSampler<Detector, DeviceBackend>& sampler, cudaStream_t stream) noexcept {
  const Status status = detail::check_current_device(sampler.device().device);
  if (!status.ok()) return status;
  const std::size_t bytes =
      detail::SamplerMemory<typename Detector::State>::layout(sampler.config(), sampler.max_rows()).bytes;
  return detail::cuda_status("cudaMemsetAsync", cudaMemsetAsync(sampler.memory(), 0, bytes, stream));
}

/// Begins a request in `slot`; what was in it is forgotten. Refuses a slot or parameters outside their domain.
template <class Detector>
static Status sampler_add(const ReSETSampler<Detector, DeviceBackend>& sampler, std::int32_t slot,
                          const RequestParams& request, cudaStream_t stream) noexcept {
  const Status status = detail::check_request(sampler, slot, request);
  if (!status.ok()) return status;
  return detail::launch(detail::add_request<Detector>, detail::LaunchShape(), stream, detail::view_of(sampler), slot,
                        request);
}

/// Gives the request in `slot` other parameters from the next call on; what it remembers stays, and `first_position` is
/// not read. Refuses a slot or parameters outside their domain.
template <class Detector>
static Status sampler_update(const ReSETSampler<Detector, DeviceBackend>& sampler, std::int32_t slot,
                             const RequestParams& request, cudaStream_t stream) noexcept {
  const Status status = detail::check_request(sampler, slot, request);
  if (!status.ok()) return status;
  return detail::launch(detail::update_request<Detector>, detail::LaunchShape(), stream, detail::view_of(sampler), slot,
                        request);
}

/// Copies a slot's memory to `state`, in memory of either side, for preemption; it is there when the stream has come so
/// far, and must be valid until then. Into host memory that is not pinned the call may wait for the stream. Rows that
/// are applied and not committed are not part of it. The state of a slot without a request is of no use.
template <class Detector>
static Status sampler_export(const ReSETSampler<Detector, DeviceBackend>& sampler, std::int32_t slot,
                             SlotState<typename Detector::State>* state, cudaStream_t stream) noexcept {
  Status status = detail::check_slot(sampler.config(), slot);
  if (!status.ok()) return status;
  if (state == nullptr) return {StatusCode::kInvalidArgument, "state", 0, "a pointer to memory"};
  status = detail::check_current_device(sampler.device().device);
  if (!status.ok()) return status;
  const auto* source = &detail::view_of(sampler).memory.slots[slot].state;
  return detail::cuda_status("cudaMemcpyAsync",
                             cudaMemcpyAsync(state, source, sizeof *state, cudaMemcpyDefault, stream));
}

/// Puts a slot's memory back, from host memory that is read at the call, into this or any other slot or sampler that
/// `sampler_add` has begun the same request in; without one it changes nothing. Refuses a state that no request can
/// have, as far as the sampler can tell.
template <class Detector>
static Status sampler_import(const ReSETSampler<Detector, DeviceBackend>& sampler, std::int32_t slot,
                             const SlotState<typename Detector::State>& state, cudaStream_t stream) noexcept {
  Status status = detail::check_slot(sampler.config(), slot);
  if (status.ok()) status = state.validate(sampler.config().vocabulary);
  if (!status.ok()) return status;
  status = detail::check_current_device(sampler.device().device);
  if (!status.ok()) return status;
  return detail::launch(detail::import_state<Detector>, detail::LaunchShape(), stream, detail::view_of(sampler), slot,
                        state);
}

/// Folds applied rows into the histories of their slots; see SamplerCommit.
template <class Detector>
static Status sampler_commit(const ReSETSampler<Detector, DeviceBackend>& sampler, const SamplerCommit& commit,
                             cudaStream_t stream) noexcept {
  if (commit.count < 0 || commit.count > sampler.config().slots) {
    return Status(StatusCode::kInvalidArgument, "count", commit.count, "0..slots").bounded(sampler.config().slots);
  }
  if (commit.count == 0) return {};
  const Status status = detail::check_commit(sampler, commit);
  if (!status.ok()) return status;
  constexpr int kThreads = 32;
  detail::LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>((commit.count + kThreads - 1) / kThreads));
  shape.block = dim3(kThreads);
  return detail::launch(detail::commit_rows<Detector>, shape, stream, detail::view_of(sampler), commit);
}

/// Samples the rows of `call` and commits what they give: a slot's only row, or of 1 + K rows with drafted tokens those
/// up to and including the first at which the draft does not hold (rows behind it give kUnused). Without
/// `draft_probabilities` a draft holds if it is the slot's own sample: the tokens, and what the slot remembers, are bit
/// for bit those of one row after the other (behind a draft that switches the policy on or off, but for a cut of top-p
/// that comes closer to p than 1e-6). With them it holds with probability min(1, p / q), p after temperature and
/// truncation, and the token that takes its place is drawn from max(p - q, 0): tokens are distributed as without
/// drafts.
template <class Detector, class T>
static Status sampler_step(const ReSETSampler<Detector, DeviceBackend>& sampler, const SamplerCall<T>& call,
                           const SamplerLaunch& options, cudaStream_t stream) noexcept {
  return detail::launch_rows(sampler, call, detail::SampleMode::kStep, options, stream);
}

/// Samples the rows of `call` as if all drafted tokens held, and changes nothing that lasts: `sampler_commit` does.
template <class Detector, class T>
static Status sampler_apply(const ReSETSampler<Detector, DeviceBackend>& sampler, const SamplerCall<T>& call,
                            const SamplerLaunch& options, cudaStream_t stream) noexcept {
  return detail::launch_rows(sampler, call, detail::SampleMode::kApply, options, stream);
}

}  // namespace RESET_ARCH_NAMESPACE
RESET_NAMESPACE_END

#endif
