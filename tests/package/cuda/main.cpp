// Every public type that a .cpp file hands to a .cu file: were one of them another type there, this would not link, and
// were it laid out otherwise, the sizes would differ.
#include <cstdio>

#include "types.hpp"

int main() {
  Sizes device;
  const reset::ReSETState state;
  const reset::Nvfp4MatrixView view;
  const reset::RequestParams request;
  const reset::SampledToken token;
  if (!describe(view, state, request, token, reset::Status(), device).ok()) return 1;
  const Sizes host = Sizes::here();
  const bool same = host == device;
  std::puts(same ? "the same types on both sides" : "types differ between .cpp and .cu");
  return same ? 0 : 1;
}
