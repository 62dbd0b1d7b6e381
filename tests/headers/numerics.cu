// The numerics that host and device share, called from a kernel: they compile for the device on every architecture.
#include <reset/reset.cuh>

using reset::StepMark;

__global__ void format_kernel(reset::Nvfp4MutableMatrixView view, const float* x, double* sum) {
  const reset::GlobalScale global = reset::RoundToNearest{}.global_scale(x[0]);
  const reset::Nvfp4Block nearest = reset::RoundToNearest{}(x, global, nullptr);
  const reset::Nvfp4Block four_over_six = reset::FourOverSix{}(x, global, nullptr);
  const reset::Nvfp4Block swept = reset::ScaleSweep{}(x, global, nullptr);
  if (!reset::validate(view).ok()) return;
  view.block_scale.data[view.block_scale.offset(0, 0)] = nearest.scale;
  view.packed[0] = static_cast<std::uint8_t>(four_over_six.packed[0] ^ swept.packed[0]);
  *sum = reset::dequantize(reset::row_slice(view, 1, 1), 0, 0);
}

template <class Detector>
__device__ reset::ReSETDecision decide(const Detector& detector, typename Detector::State& detector_state,
                                       const reset::ReSETParams& params, reset::ReSETState& state,
                                       const reset::TokenEvent& event) {
  const StepMark mark = detector.observe(detector_state, event);
  return reset::reset_step(params, state, event.entropy, mark.boundary);
}

__global__ void sampler_kernel(reset::AnyOf<reset::TokenSetDetector, reset::TextDelimiterDetector> newlines,
                               reset::Gated<reset::AnyOf<reset::FixedInterval, reset::EntropyShift>> gated,
                               reset::ReSETParams params, reset::ReSETState* state, reset::EntropyPartial* partials,
                               reset::ReSETDecision* decisions, double* noise, reset::StreamingQuantile* entropies) {
  const float entropy = static_cast<float>(reset::entropy(reset::merge_tree(partials, 4)));
  const reset::TokenEvent event{3, entropy, 17};
  auto newline_state = newlines.initial_state();
  auto gated_state = gated.initial_state();
  decisions[0] = decide(newlines, newline_state, params, *state, event);
  decisions[1] = decide(gated, gated_state, params, *state, event);
  *noise = reset::gumbel_score(entropy, decisions[0].temperature, reset::gumbel_noise({1, 17}, 3));
  entropies[threadIdx.x].add(entropy);
  entropies[0].add_shared(entropy);
  entropies[0].merge(entropies[1]);
  if (!entropies[0].quantile(0.8, params.tau0).ok()) params.tau0 = 0.0f;
  decisions[2] = reset::reset_step(params, *state, entropy, false);
}
