#include "gpu.hpp"

#include <cuda_runtime_api.h>

#include <string>

#include <reset/status.hpp>

#include "cuda_generator.hpp"
#include "decoder.hpp"

namespace generate {

bool gpu_serves(std::int32_t slots) {
  try {
    engine::cuda::require_gpu();
  } catch (const reset::Error&) {
    return false;
  }
  return slots <= engine::cuda::Decoder::kMaxSlots;
}

ChosenGenerator make_gpu_generator(const engine::Weights& weights, const reset::TokenSetTable& boundaries,
                                   const engine::GeneratorOptions& sizes) {
  engine::cuda::require_gpu();
  if (sizes.slots > engine::cuda::Decoder::kMaxSlots) {
    throw reset::Error("--batch is " + std::to_string(sizes.slots) + ", expected at most " +
                       std::to_string(engine::cuda::Decoder::kMaxSlots));
  }
  if (sizes.activations == engine::Activations::kNvfp4) weights.require_input_scales();
  const auto device = std::make_shared<const engine::cuda::DeviceWeights>(engine::cuda::upload(weights));
  cudaDeviceProp properties{};
  engine::cuda::check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  return {device, engine::cuda::make_cuda_generator(*device, boundaries, sizes), properties.name};
}

}  // namespace generate
