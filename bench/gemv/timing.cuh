// Time of a launch with cold weights: a graph of 64 launches over copies of the weights that together do not fit the
// L2 cache, the median of its replays.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}
#define CHECK_CUDA(call) check(call, #call)

// The floor: a kernel that only reads, 16 bytes a load, 8 CTAs of 256 threads on each multiprocessor.
static __global__ void __launch_bounds__(256) read_only(const uint4* data, std::size_t count, unsigned* out) {
  constexpr int kUnroll = 4;
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * 256;
  std::size_t i = static_cast<std::size_t>(blockIdx.x) * 256 + threadIdx.x;
  unsigned sum = 0;
  for (; i + (kUnroll - 1) * step < count; i += kUnroll * step) {
    uint4 words[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) words[u] = __ldcs(data + i + u * step);
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) sum ^= words[u].x ^ words[u].y ^ words[u].z ^ words[u].w;
  }
  for (; i < count; i += step) {
    const uint4 words = __ldcs(data + i);
    sum ^= words.x ^ words.y ^ words.z ^ words.w;
  }
  if (sum == 0x12345677u) *out = sum;  // never so for all threads: the loads must not be optimised away
}

// Packed codes at random, and scales between 1/8 and 2 behind them, in each copy.
static __global__ void fill(std::uint8_t* data, std::size_t packed, std::size_t copy, std::size_t bytes) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < bytes; i += step) {
    unsigned hash = static_cast<unsigned>(i) * 2654435761u;
    hash ^= hash >> 15;
    hash *= 2246822519u;
    hash ^= hash >> 13;
    data[i] = static_cast<std::uint8_t>(i % copy < packed ? hash >> 8 : 0x20 + (hash >> 8 & 31));
  }
}

// Microseconds of one of 64 launches in a graph; `launch(i)` enqueues the i-th.
template <class Launch>
float microseconds(cudaStream_t stream, Launch launch) {
  constexpr int kLaunches = 64;
  constexpr int kReplays = 15;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  CHECK_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < kLaunches; ++i) launch(i);
  CHECK_CUDA(cudaStreamEndCapture(stream, &graph));
  CHECK_CUDA(cudaGraphInstantiate(&executable, graph, 0));
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  CHECK_CUDA(cudaEventCreate(&begin));
  CHECK_CUDA(cudaEventCreate(&end));
  std::vector<float> times;
  for (int i = 0; i < kReplays; ++i) {
    CHECK_CUDA(cudaEventRecord(begin, stream));
    CHECK_CUDA(cudaGraphLaunch(executable, stream));
    CHECK_CUDA(cudaEventRecord(end, stream));
    CHECK_CUDA(cudaEventSynchronize(end));
    float milliseconds = 0;
    CHECK_CUDA(cudaEventElapsedTime(&milliseconds, begin, end));
    times.push_back(milliseconds * 1000 / kLaunches);
  }
  CHECK_CUDA(cudaEventDestroy(begin));
  CHECK_CUDA(cudaEventDestroy(end));
  CHECK_CUDA(cudaGraphExecDestroy(executable));
  CHECK_CUDA(cudaGraphDestroy(graph));
  std::sort(times.begin(), times.end());
  return times[kReplays / 2];
}
