// Whether device tests can run here.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdio>

namespace test_support {

inline constexpr int kSkipped = 77;  // the exit status that ctest reports as skipped

// Says so where there is no GPU.
inline bool has_gpu() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0) return true;
  std::printf("skipped: no GPU\n");
  return false;
}

}  // namespace test_support
