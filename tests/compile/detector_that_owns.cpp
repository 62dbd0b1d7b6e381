#include <vector>

#include <reset/sampler/boundary/detector.hpp>

struct Detector {
  struct State {};
#if defined(RESET_TEST_BAD)
  std::vector<int> tokens;
#endif
  State initial_state() const { return {}; }
  bool observe(State&, const reset::TokenEvent& event) const { return event.token == 13; }
};

void check() { reset::require_step_detector<Detector>(); }
