#include <cstdint>

#include <reset/sampler/boundary/gated.hpp>

struct Detector {
  struct State {};
  State initial_state() const { return {}; }
  bool observe(State&, const reset::TokenEvent&) const { return false; }
#if defined(RESET_TEST_BAD)
  bool fits(std::int32_t) const { return true; }
#else
  reset::Status fits(std::int32_t) const { return {}; }
#endif
};

const reset::Gated detector(Detector(), 1, 2);
