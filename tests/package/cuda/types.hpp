#pragma once

#include <cstddef>

#include <reset/reset.hpp>

struct Sizes {
  std::size_t view, state, request, token, status, slot;

  static Sizes here() {
    return {sizeof(reset::Nvfp4MatrixView), sizeof(reset::ReSETState),
            sizeof(reset::RequestParams),   sizeof(reset::SampledToken),
            sizeof(reset::Status),          sizeof(reset::SlotState<reset::NoDetector::State>)};
  }
  bool operator==(const Sizes& other) const {
    return view == other.view && state == other.state && request == other.request && token == other.token &&
           status == other.status && slot == other.slot;
  }
};

reset::Status describe(const reset::Nvfp4MatrixView& view, const reset::ReSETState& state,
                       const reset::RequestParams& request, const reset::SampledToken& token,
                       const reset::Status& status, Sizes& sizes);
