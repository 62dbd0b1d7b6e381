#include <reset/sampler/boundary/any_of.hpp>
#include <reset/sampler/boundary/interval.hpp>

struct Detector {
  struct State {};
  State initial_state() const { return {}; }
#if !defined(RESET_TEST_BAD)
  bool observe(State&, const reset::TokenEvent& event) const { return event.token == 13; }
#endif
};

auto composed() { return reset::AnyOf(Detector{}, reset::FixedInterval(64)); }
