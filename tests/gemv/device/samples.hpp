// Calls that meet each kernel, and what tests of their behaviour share.
#pragma once

#include <cuda_runtime_api.h>

#include <vector>

#include "gemv/device/case.hpp"
#include "gemv/device/memory.hpp"

#include <reset/status.hpp>

struct Stream {
  cudaStream_t stream = nullptr;
  Stream() { CHECK_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking)); }
  ~Stream() { cudaStreamDestroy(stream); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
};

// Says what failed; 1.
int fail(const CaseOptions& options, const char* what);
// 0 if a launch did what it should; otherwise says why not.
int launched(const reset::Status& status);

// Each kernel family with each number of tokens that it is compiled for: rows aligned, block scales swizzled, in whole
// tiles and not, rows at odd addresses, and at such as come one by one.
std::vector<CaseOptions> samples();

// The same device with three multiprocessors, of whose CTAs each has many tiles.
reset::DeviceInfo with_few_multiprocessors(reset::DeviceInfo device);
