// A detector alone or, with RESET_TEST_PARTS, as a part of others.
#include <reset/sampler/boundary/any_of.hpp>
#include <reset/sampler/boundary/gated.hpp>
#include <reset/sampler/boundary/interval.hpp>
#include <reset/sampler/detail/device_slots.cuh>

struct Detector {
  struct State {};
  RESET_HOST_DEVICE State initial_state() const { return {}; }
#if !defined(RESET_TEST_BAD)
  RESET_HOST_DEVICE
#endif
  bool observe(State&, const reset::TokenEvent& event) const { return event.token == 13; }
};

#if defined(RESET_TEST_PARTS)
using Tested = reset::AnyOf<reset::FixedInterval, reset::Gated<Detector>>;
#else
using Tested = Detector;
#endif

const void* kernel() { return reinterpret_cast<const void*>(&reset::detail::add_request<Tested>); }
