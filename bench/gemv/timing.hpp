// Time of a launch: a CUDA graph of many, the median of its replays.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace bench {

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}
#define CHECK_CUDA(call) ::bench::check(call, #call)

// Device memory, to be freed by cudaFree.
template <class T>
void allocate(T*& data, std::size_t bytes) {
  void* memory = nullptr;
  CHECK_CUDA(cudaMalloc(&memory, bytes));
  data = static_cast<T*>(memory);
}

struct Repeats {
  int launches = 64;  // in the graph
  int replays = 15;
};

// Enough to tell the faster of two candidates.
inline constexpr Repeats kQuick = {16, 3};

namespace detail {

template <class Launch>
cudaGraphExec_t capture(cudaStream_t stream, int launches, Launch& launch) {
  launch(0);  // loads the kernel, which a capture may not
  CHECK_CUDA(cudaStreamSynchronize(stream));
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  CHECK_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < launches; ++i) launch(i);
  CHECK_CUDA(cudaStreamEndCapture(stream, &graph));
  CHECK_CUDA(cudaGraphInstantiate(&executable, graph, 0));
  CHECK_CUDA(cudaGraphDestroy(graph));
  return executable;
}

}  // namespace detail

// Microseconds of one launch; `launch(i)` enqueues the i-th of the graph. The replays follow each other without a wait
// of the host, so that the device is busy while it enqueues the next one and its latency is not measured.
template <class Launch>
double microseconds(cudaStream_t stream, Launch launch, Repeats repeats = {}) {
  cudaGraphExec_t executable = detail::capture(stream, repeats.launches, launch);
  std::vector<cudaEvent_t> events(static_cast<std::size_t>(repeats.replays) + 1);
  for (cudaEvent_t& event : events) CHECK_CUDA(cudaEventCreate(&event));
  CHECK_CUDA(cudaGraphLaunch(executable, stream));  // warm-up
  CHECK_CUDA(cudaEventRecord(events[0], stream));
  for (std::size_t i = 1; i < events.size(); ++i) {
    CHECK_CUDA(cudaGraphLaunch(executable, stream));
    CHECK_CUDA(cudaEventRecord(events[i], stream));
  }
  CHECK_CUDA(cudaStreamSynchronize(stream));
  std::vector<double> times;
  for (std::size_t i = 1; i < events.size(); ++i) {
    float milliseconds = 0;
    CHECK_CUDA(cudaEventElapsedTime(&milliseconds, events[i - 1], events[i]));
    times.push_back(static_cast<double>(milliseconds) * 1000 / repeats.launches);
  }
  for (cudaEvent_t event : events) CHECK_CUDA(cudaEventDestroy(event));
  CHECK_CUDA(cudaGraphExecDestroy(executable));
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

}  // namespace bench
