#include "gpu.hpp"

#include <cuda_runtime_api.h>

#include <string>

#include <reset/status.hpp>

#include "cuda_generator.hpp"

namespace generate {

bool gpu_is_there() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}

ChosenGenerator make_gpu_generator(const engine::Weights& weights, const reset::TokenSetTable& boundaries,
                                   const engine::GeneratorOptions& sizes) {
  try {
    engine::cuda::require_gpu();
    const auto device = std::make_shared<const engine::cuda::DeviceWeights>(engine::cuda::upload(weights));
    cudaDeviceProp properties{};
    engine::cuda::check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
    return {device, engine::cuda::make_cuda_generator(*device, boundaries, sizes), properties.name};
  } catch (const reset::Error& error) {
    throw reset::Error(std::string("--device is cuda, and ") + error.what());
  }
}

}  // namespace generate
