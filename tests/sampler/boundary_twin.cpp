// Compiled twice by the tests, with RESET_TEST_MARK as bool and as void.
#include <reset/sampler/boundary/any_of.hpp>
#include <reset/sampler/boundary/none.hpp>

struct Twin {
  struct State {};
  State initial_state() const { return {}; }
  RESET_TEST_MARK observe(State&, const reset::TokenEvent&) const { return RESET_TEST_MARK(); }
};

const reset::AnyOf detector{reset::NoDetector{}, Twin{}};
