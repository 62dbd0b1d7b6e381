// How the engine's own kernels are launched: each may start while the kernel ahead of it still runs, and waits for it.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>

#include "device_buffer.hpp"
#include "stream.hpp"

namespace engine::cuda {

// Both ends of a dependent launch. Every kernel lets the next one start at once, which then waits in its turn.
__device__ inline void release_dependents() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
#endif
}
__device__ inline void wait_for_dependencies() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
#endif
}
__device__ inline void begin_dependent() {
  release_dependents();
  wait_for_dependencies();
}

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared, const Stream& stream,
            Arguments&&... arguments) {
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = stream.handle;
  config.attrs = &attribute;
  config.numAttrs = stream.dependent ? 1 : 0;
  check(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...), "cudaLaunchKernelEx");
}

}  // namespace engine::cuda
