// The launchers for samplers of one detector each, compiled by nvcc and called from C++ files.
#pragma once

#include <cuda_runtime_api.h>

#include <reset/sampler/boundary/any_of.hpp>
#include <reset/sampler/boundary/entropy_shift.hpp>
#include <reset/sampler/boundary/gated.hpp>
#include <reset/sampler/boundary/interval.hpp>
#include <reset/sampler/boundary/none.hpp>
#include <reset/sampler/boundary/text_delimiters.hpp>
#include <reset/sampler/boundary/token_set.hpp>
#include <reset/sampler/device_sampler.hpp>

namespace device_test {

// A detector of an engine's own, as the README shows it.
struct EveryFullStop {
  struct State {};
  std::int32_t full_stop;
  RESET_HOST_DEVICE State initial_state() const { return {}; }
  RESET_HOST_DEVICE bool observe(State&, const reset::TokenEvent& event) const { return event.token == full_stop; }
};

using OwnDetector = reset::AnyOf<EveryFullStop, reset::TokenSetDetector>;
using GatedDetector = reset::Gated<reset::TokenSetDetector>;

template <class Detector>
using SamplerOf = reset::ReSETSampler<Detector, reset::DeviceBackend>;

// A new sampler whose first slot has a request.
template <class Detector>
reset::Status begin(const SamplerOf<Detector>& sampler, const reset::RequestParams& request, cudaStream_t stream);
template <class Detector>
reset::Status step_of(const SamplerOf<Detector>& sampler, const reset::SamplerCall<float>& call, cudaStream_t stream);

}  // namespace device_test
