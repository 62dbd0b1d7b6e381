// Where work goes, and whether its kernels may overlap their beginnings.
#pragma once

#include <cuda_runtime_api.h>

namespace engine::cuda {

struct Stream {
  cudaStream_t handle = nullptr;
  bool dependent = false;  // programmatic dependent launch; needs compute capability 9.0
};

}  // namespace engine::cuda
