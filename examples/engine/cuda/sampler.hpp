// The library's device sampler as this engine calls it: failures throw, and only sampler.cu compiles its kernels.
#pragma once

#include <cstdint>
#include <vector>

#include <reset/sampler/boundary/token_set.hpp>
#include <reset/sampler/device_sampler.hpp>

#include "device_buffer.hpp"
#include "stream.hpp"

namespace engine::cuda {

class Sampler {
 public:
  // `columns` of each row of `stride` logits are tokens.
  Sampler(const reset::TokenSetTable& boundaries, std::int32_t slots, std::int32_t columns, std::int64_t stride,
          cudaStream_t stream);

  void add(std::int32_t slot, const reset::RequestParams& request);

  // Samples `count` slots from `first` on, each from its row of logits; tokens and results go to the same places.
  void sample(std::int32_t first, std::int32_t count, const float* logits, const Stream& stream) const;

  const std::int32_t* tokens() const { return tokens_.data(); }
  const reset::SampledToken* results() const { return results_.data(); }

 private:
  using DeviceSampler = reset::ReSETSampler<reset::TokenSetDetector, reset::DeviceBackend>;

  static DeviceSampler make(const reset::SamplerConfig& config, void* memory, const reset::TokenSetDetector& detector);

  cudaStream_t stream_;
  reset::SamplerConfig config_;
  DeviceBuffer<std::uint32_t> table_;  // the detector's
  DeviceBuffer<std::uint8_t> memory_;  // the sampler's
  DeviceBuffer<reset::SamplerRow> rows_;
  DeviceBuffer<std::int32_t> tokens_;
  DeviceBuffer<reset::SampledToken> results_;
  DeviceSampler sampler_;
};

}  // namespace engine::cuda
