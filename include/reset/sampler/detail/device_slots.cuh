/// @file
/// Kernels that touch slots and no logits: new requests, changed parameters, commits, imported states.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/sampler/boundary/any_of.hpp>
#include <reset/sampler/boundary/gated.hpp>
#include <reset/sampler/detail/device_memory.hpp>
#include <reset/sampler/detail/device_sample_room.cuh>
#include <reset/sampler/device_sampler.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// Nothing; its attributes tell the target that this file's kernels run as.
template <class>
static __global__ void mark_unused() {}

template <class Detector>
static Status check_request(const ReSETSampler<Detector, DeviceBackend>& sampler, std::int32_t slot,
                            const RequestParams& request) noexcept {
  Status status = check_slot(sampler.config(), slot);
  if (status.ok()) status = request.validate(sampler.config().vocabulary);
  return status.ok() ? check_current_device(sampler.device().device) : status;
}

/// Never runs: from a kernel the compiler refuses a detector's function that is not RESET_HOST_DEVICE, where from
/// functions of both sides, such as those of a detector that is made of others, it only warns, and leaves the call out.
template <class Detector>
static __device__ void require_device_functions(const Detector& detector);
template <class... Parts>
static __device__ void require_device_functions(const AnyOf<Parts...>& detector);
template <class Inner>
static __device__ void require_device_functions(const Gated<Inner>& detector);

template <class Detector>
static __device__ void require_device_functions(const Detector& detector) {
  typename Detector::State state = detector.initial_state();
  (void)detector.observe(state, TokenEvent{});
  if constexpr (HasInitiallyActive<Detector>::value) (void)detector.initially_active();
}
// Where a part lies does not matter to what never runs.
template <class... Parts>
static __device__ void require_device_functions(const AnyOf<Parts...>& detector) {
  (require_device_functions(reinterpret_cast<const Parts&>(detector)), ...);
}
template <class Inner>
static __device__ void require_device_functions(const Gated<Inner>& detector) {
  require_device_functions(reinterpret_cast<const Inner&>(detector));
}

template <class Detector>
static __global__ void add_request(const __grid_constant__ SamplerView<Detector> view, std::int32_t slot,
                                   const __grid_constant__ RequestParams request) {
  if (false) require_device_functions(view.detector);
  wait_for_dependencies();
  DeviceSlot<typename Detector::State>& place = view.memory.slots[slot];
  place.request = request;
  place.state = SlotState<typename Detector::State>();
  place.state.detector = view.detector.initial_state();
  place.state.mark = StepMark(false, initially_active(view.detector));
  place.state.next_position = request.first_position;
  place.pending = 0;
  place.in_use = 1;
}

/// Gives a running request other parameters; what it remembers stays.
template <class Detector>
static __global__ void update_request(const __grid_constant__ SamplerView<Detector> view, std::int32_t slot,
                                      const __grid_constant__ RequestParams request) {
  wait_for_dependencies();
  view.memory.slots[slot].request = request;
}

/// Puts a state in the place of a request's own, if there is a request.
template <class Detector>
static __global__ void import_state(const __grid_constant__ SamplerView<Detector> view, std::int32_t slot,
                                    const __grid_constant__ SlotState<typename Detector::State> state) {
  wait_for_dependencies();
  DeviceSlot<typename Detector::State>& place = view.memory.slots[slot];
  if (place.in_use == 0) return;
  place.state = state;
  place.pending = 0;
}

/// Whether a commit is one that its slot can take.
template <class Detector>
static __device__ bool can_commit(const SamplerView<Detector>& view, const SamplerCommit& commit, std::int32_t index) {
  const std::int32_t slot = commit.slots[index];
  if (slot < 0 || slot >= view.slots || view.memory.slots[slot].in_use == 0) return false;
  const std::int32_t count = commit.counts[index];
  if (count < 0 || count > view.memory.slots[slot].pending) return false;
  for (std::int32_t i = 0; i < count && commit.tokens != nullptr; ++i) {
    const std::int32_t token = commit.tokens[static_cast<std::size_t>(index) * view.rows_per_slot + i];
    if (token < 0 || token >= view.vocabulary) return false;
  }
  return true;
}

/// Folds accepted rows into the histories: a thread a slot.
template <class Detector>
static __global__ void commit_rows(const __grid_constant__ SamplerView<Detector> view,
                                   const __grid_constant__ SamplerCommit commit) {
  wait_for_dependencies();
  const std::int32_t index = static_cast<std::int32_t>(blockIdx.x * blockDim.x + threadIdx.x);
  if (index >= commit.count || !can_commit(view, commit, index)) return;
  const std::size_t slot = static_cast<std::size_t>(commit.slots[index]);
  const std::int32_t count = commit.counts[index];
  DeviceSlot<typename Detector::State>& place = view.memory.slots[slot];
  for (std::int32_t i = 0; i < count; ++i) {
    const DevicePending& row = view.memory.pending[slot * view.rows_per_slot + i];
    SampledToken again;
    again.entropy = row.entropy;
    decide_row(place.request, place.state.policy, place.state.mark, again);
    const std::int32_t settled = i + 1 < count ? row.follower : row.sampled;
    const std::int32_t token =
        commit.tokens == nullptr ? settled : commit.tokens[static_cast<std::size_t>(index) * view.rows_per_slot + i];
    if (place.state.mark.active) count_entropy(commit.quantiles, commit.slots[index], row.entropy);
    follow_token(view.detector, place.request, place.state, TokenEvent{token, row.entropy, row.position});
  }
  place.pending = 0;
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
