#include <reset/sampler/boundary/detector.hpp>

struct Detector {
  struct State {};
  State initial_state() const { return {}; }
  bool observe(State&, const reset::TokenEvent& event) const { return event.token == 13; }
#if defined(RESET_TEST_BAD)
  bool initially_active() { return false; }
#else
  bool initially_active() const { return false; }
#endif
};

void check() { reset::require_step_detector<Detector>(); }
