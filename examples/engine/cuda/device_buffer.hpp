// Device memory with an owner, and failures of the CUDA runtime as reset::Error.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <reset/status.hpp>

namespace engine::cuda {

inline void check(cudaError_t error, const char* call) {
  if (error == cudaSuccess) return;
  throw reset::Error(std::string(call) + " failed: " + cudaGetErrorString(error));
}

// A handle of the CUDA runtime or of cuBLAS that kDestroy ends.
template <class Handle, auto kDestroy>
class Owned {
 public:
  Owned() = default;
  ~Owned() {
    if (handle_ != nullptr) kDestroy(handle_);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;

  operator Handle() const { return handle_; }
  // Where a function that creates the handle puts it; there must be none yet.
  Handle* out() { return &handle_; }

 private:
  Handle handle_ = nullptr;
};

using OwnedStream = Owned<cudaStream_t, cudaStreamDestroy>;
using OwnedEvent = Owned<cudaEvent_t, cudaEventDestroy>;
using OwnedGraph = Owned<cudaGraph_t, cudaGraphDestroy>;
using OwnedGraphExec = Owned<cudaGraphExec_t, cudaGraphExecDestroy>;
using PinnedMemory = Owned<void*, cudaFreeHost>;

// The model, the batch or the context is too large for the device.
class OutOfDeviceMemory : public reset::Error {
 public:
  using reset::Error::Error;
};

// Memory for `bytes`, or an error that tells how much is missing.
inline void* allocate(std::size_t bytes) {
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, bytes);
  if (error != cudaErrorMemoryAllocation) {
    check(error, "cudaMalloc");
    return data;
  }
  cudaGetLastError();  // this failure is dealt with here; later launches have nothing to do with it
  std::size_t free = 0;
  std::size_t total = 0;
  cudaMemGetInfo(&free, &total);
  const auto mib = [](std::size_t count) { return std::to_string(count >> 20) + " MiB"; };
  throw OutOfDeviceMemory("device memory: " + mib(bytes) + " wanted, " + mib(free) + " of " + mib(total) +
                          " free; expected a smaller model, batch or context");
}

// `count` elements of T on the current device.
template <class T>
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(std::size_t count) : data_(static_cast<T*>(allocate(count * sizeof(T)))), count_(count) {}
  explicit DeviceBuffer(const std::vector<T>& values) : DeviceBuffer(values.size()) {
    check(cudaMemcpy(data_, values.data(), bytes(), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  ~DeviceBuffer() { cudaFree(data_); }
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }

  T* data() const { return data_; }
  std::size_t size() const { return count_; }
  std::size_t bytes() const { return count_ * sizeof(T); }
  void clear() { check(cudaMemset(data_, 0, bytes()), "cudaMemset"); }

 private:
  T* data_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace engine::cuda
