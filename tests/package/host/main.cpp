// A stranger's first program: quantises a matrix, multiplies by it, and samples a token from the result.
#include <cstdint>
#include <cstdio>
#include <vector>

#include <reset/reset.hpp>

int main() {
  constexpr std::int64_t kRows = 48, kCols = 64;
  std::vector<float> weights(kRows * kCols);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 13) - 6.0f;

  std::vector<std::uint8_t> packed(kRows * kCols / 2), scales(kRows * kCols / 16);
  const reset::GlobalScale global = reset::ScaleSweep{}.global_scale(6.0f);
  const reset::Nvfp4MutableMatrixView matrix{packed.data(),
                                             kRows,
                                             kCols,
                                             kCols / 2,
                                             {scales.data(), reset::ScaleLayout::kLinear, kCols / 16},
                                             reset::FusedGlobalScales::uniform(global)};
  reset::quantize_rows(reset::ScaleSweep{}, weights.data(), kCols, 0, kRows, nullptr, matrix);

  const std::vector<float> x(kCols, 0.25f);
  std::vector<float> logits(kRows);
  reset::throw_if_failed(
      reset::host_gemv(reset::Nvfp4MatrixView(matrix), x.data(), 1, kCols, logits.data(), kRows, 0, kRows));

  reset::SamplerConfig config;
  config.vocabulary = kRows;
  reset::ReSETSampler sampler(config, reset::FixedInterval(16));
  reset::RequestParams request;
  request.sampling.top_p = 0.95f;
  reset::throw_if_failed(sampler.add(0, request));
  reset::SampledToken next;
  reset::throw_if_failed(sampler.sample(0, logits.data(), next));
  std::printf("token %d, entropy %.3f nats, temperature %.1f\n", static_cast<int>(next.token),
              static_cast<double>(next.entropy), static_cast<double>(next.policy.temperature));
  return next.status == reset::RowStatus::kOk && next.entropy > 0.0f ? 0 : 1;
}
