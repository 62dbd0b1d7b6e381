#include <reset/reset.cuh>

#include "types.hpp"

__global__ void read_view(reset::Nvfp4MatrixView view, float* out) {
  *out = static_cast<float>(reset::dequantize(view, 0, 0));
}

reset::Status describe(const reset::Nvfp4MatrixView&, const reset::ReSETState& state,
                       const reset::RequestParams& request, const reset::SampledToken&, const reset::Status& status,
                       Sizes& sizes) {
  sizes = Sizes::here();
  if (!state.validate().ok()) return state.validate();
  if (!request.reset.validate().ok()) return request.reset.validate();
  return status;
}
