#include "gpu.hpp"

#include <cuda_runtime_api.h>

#include <string>
#include <utility>

#include <reset/status.hpp>

#include "cuda_generator.hpp"
#include "decoder.hpp"

namespace generate {
namespace {

void require_slots(const engine::GeneratorOptions& sizes) {
  engine::cuda::require_gpu();
  engine::cuda::Decoder::check_slot_count("--batch", sizes.slots);  // before the weights take their time
}

ChosenGenerator on_device(engine::cuda::DeviceWeights weights, const reset::TokenSetTable& boundaries,
                          const engine::GeneratorOptions& sizes) {
  const auto device = std::make_shared<const engine::cuda::DeviceWeights>(std::move(weights));
  cudaDeviceProp properties{};
  engine::cuda::check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  return {device, engine::cuda::make_cuda_generator(*device, boundaries, sizes), properties.name};
}

}  // namespace

bool gpu_serves(std::int32_t slots) {
  try {
    engine::cuda::require_gpu();
  } catch (const reset::Error&) {
    return false;
  }
  return slots <= engine::cuda::Decoder::kMaxSlots;
}

engine::ModelConfig published_config(const std::string& name) { return engine::cuda::published_config(name); }

ChosenGenerator make_random_generator(const engine::ModelConfig& config, const reset::TokenSetTable& boundaries,
                                      const engine::GeneratorOptions& sizes, bool nvfp4_head) {
  require_slots(sizes);
  return on_device(engine::cuda::random_weights(config, engine::cuda::WeightForm::kNvfp4, nvfp4_head), boundaries,
                   sizes);
}

ChosenGenerator make_gpu_generator(const engine::Weights& weights, const reset::TokenSetTable& boundaries,
                                   const engine::GeneratorOptions& sizes) {
  require_slots(sizes);
  if (sizes.activations == engine::Activations::kNvfp4) weights.require_input_scales();
  return on_device(engine::cuda::upload(weights), boundaries, sizes);
}

}  // namespace generate
