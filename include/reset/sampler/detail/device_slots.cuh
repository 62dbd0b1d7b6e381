/// @file
/// Kernels that touch slots and no logits: new requests, changed parameters, commits, imported states.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_sample.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// Nothing; its attributes tell the target that this file's kernels run as.
template <class>
static __global__ void mark_unused() {}

template <class Detector>
static Status check_request(const ReSETSampler<Detector, DeviceBackend>& sampler, std::int32_t slot,
                            const RequestParams& request) noexcept {
  if (slot < 0 || slot >= sampler.config().slots) {
    return {StatusCode::kInvalidArgument, "slot", slot, "0..slots-1"};
  }
  return request.validate(sampler.config().vocabulary);
}

template <class Detector>
static __global__ void add_request(const __grid_constant__ SamplerView<Detector> view, std::int32_t slot,
                                   const __grid_constant__ RequestParams request) {
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

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
