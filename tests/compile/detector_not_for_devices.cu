#include <reset/sampler/detail/device_slots.cuh>

struct Detector {
  struct State {};
  RESET_HOST_DEVICE State initial_state() const { return {}; }
#if !defined(RESET_TEST_BAD)
  RESET_HOST_DEVICE
#endif
  bool observe(State&, const reset::TokenEvent& event) const { return event.token == 13; }
};

const void* kernel() { return reinterpret_cast<const void*>(&reset::detail::add_request<Detector>); }
