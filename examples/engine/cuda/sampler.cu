#include "sampler.hpp"

#include <reset/sampler/reset_sampler.cuh>

namespace engine::cuda {
namespace {

reset::SamplerConfig config_of(std::int32_t slots, std::int32_t columns, std::int64_t stride) {
  reset::SamplerConfig config;
  config.vocabulary = columns;
  config.row_stride = stride;
  config.slots = slots;
  return config;
}

// Row i is slot i, at that slot's own position.
std::vector<reset::SamplerRow> rows_of(std::int32_t slots) {
  std::vector<reset::SamplerRow> rows(static_cast<std::size_t>(slots));
  for (std::int32_t slot = 0; slot < slots; ++slot) rows[static_cast<std::size_t>(slot)].slot = slot;
  return rows;
}

std::vector<std::uint32_t> words_of(const reset::TokenSetTable& table) {
  return {table.data(), table.data() + table.size_bytes() / sizeof(std::uint32_t)};
}

}  // namespace

Sampler::DeviceSampler Sampler::make(const reset::SamplerConfig& config, void* memory,
                                     const reset::TokenSetDetector& detector) {
  int ordinal = 0;
  check(cudaGetDevice(&ordinal), "cudaGetDevice");
  reset::SamplerDevice device;
  reset::throw_if_failed(reset::sampler_prepare(ordinal, device));
  return DeviceSampler(config, config.slots, device, memory, detector);
}

Sampler::Sampler(const reset::TokenSetTable& boundaries, std::int32_t slots, std::int32_t columns, std::int64_t stride,
                 cudaStream_t stream)
    : stream_(stream),
      config_(config_of(slots, columns, stride)),
      table_(words_of(boundaries)),
      memory_(DeviceSampler::memory_bytes(config_, slots)),
      rows_(rows_of(slots)),
      tokens_(static_cast<std::size_t>(slots)),
      results_(static_cast<std::size_t>(slots)),
      sampler_(make(config_, memory_.data(), boundaries.detector(table_.data()))) {
  tokens_.clear();
  results_.clear();
  reset::throw_if_failed(reset::sampler_initialize(sampler_, stream));
}

void Sampler::add(std::int32_t slot, const reset::RequestParams& request) {
  reset::throw_if_failed(reset::sampler_add(sampler_, slot, request, stream_));
}

void Sampler::sample(std::int32_t first, std::int32_t count, const float* logits, const Stream& stream) const {
  reset::SamplerCall<float> call;
  call.logits = logits + first * config_.row_stride;
  call.rows = rows_.data() + first;
  call.count = count;
  call.tokens = tokens_.data() + first;
  call.results = results_.data() + first;
  reset::SamplerLaunch options;
  options.dependent_launch = stream.dependent;
  reset::throw_if_failed(reset::sampler_step(sampler_, call, options, stream.handle));
}

}  // namespace engine::cuda
