// Ends a test program where there is no GPU, by the exit status that ctest takes for skipped.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>

namespace testing {

inline void need_gpu() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess && count > 0) return;
  std::puts("skipped: no GPU");
  std::exit(77);
}

}  // namespace testing
