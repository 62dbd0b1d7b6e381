// The detectors as both compilers see them: these types and functions cross from a .cpp file to a .cu file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <reset/sampler/boundary/any_of.hpp>
#include <reset/sampler/boundary/entropy_shift.hpp>
#include <reset/sampler/boundary/gated.hpp>
#include <reset/sampler/boundary/interval.hpp>
#include <reset/sampler/boundary/none.hpp>
#include <reset/sampler/boundary/text_delimiters.hpp>
#include <reset/sampler/boundary/token_set.hpp>

namespace boundary_test {

// A gate for vocabularies of any size, of a single token too.
struct AnyGate : reset::Gated<reset::AnyOf<reset::TokenSetDetector, reset::FixedInterval>> {
  using Gated::Gated;
  static reset::Status fits(std::int32_t) { return {}; }
};

// All detectors at once, each within the reach of the others.
using Everything = reset::AnyOf<AnyGate, reset::TextDelimiterDetector, reset::EntropyShift, reset::NoDetector>;

struct Tables {
  reset::TokenSetTable set;
  reset::TextDelimiterTable text;
};

inline Everything everything(const reset::TokenSetDetector& set, const reset::TextDelimiterDetector& text) {
  return Everything(AnyGate(reset::AnyOf(set, reset::FixedInterval(50)), 5, 6, true), text,
                    reset::EntropyShift({0.3, 6.0, 8}), reset::NoDetector());
}

// Bit 0 of marks[i] is the boundary after event i, bit 1 whether the policy is active.
RESET_HOST_DEVICE inline void observe_all(const Everything& detector, const reset::TokenEvent* events,
                                          std::size_t count, std::uint8_t* marks) {
  Everything::State state = detector.initial_state();
  for (std::size_t i = 0; i < count; ++i) {
    const reset::StepMark mark = detector.observe(state, events[i]);
    marks[i] = static_cast<std::uint8_t>((mark.boundary ? 1 : 0) + (mark.active ? 2 : 0));
  }
}

// In boundary_cuda.cu: the host code that nvcc makes, and the device. The second returns what went wrong, and finds no
// device where there is none.
void observe_all_by_nvcc(const Everything& detector, const reset::TokenEvent* events, std::size_t count,
                         std::uint8_t* marks);
std::string observe_all_on_device(const Tables& tables, const reset::TokenEvent* events, std::size_t count,
                                  std::uint8_t* marks);

}  // namespace boundary_test
