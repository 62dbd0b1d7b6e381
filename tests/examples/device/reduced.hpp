// Whether the tests are to do no more than a sanitizer can finish in minutes; main.cpp says so before any begins.
#pragma once

namespace testing {

inline bool reduced = false;

// As many as the whole test has, or as a reduced one has.
template <class T>
T at_most(T whole, T small) {
  return reduced ? small : whole;
}

}  // namespace testing
