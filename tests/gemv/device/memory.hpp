// Device memory for tests, freed with its owner; any error of the runtime ends the program.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::printf("FAILED: %s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}
#define CHECK_CUDA(call) check(call, #call)

// A copy of host bytes at an address that is `misalignment` past a multiple of 256, exactly as long as they are.
class DeviceBytes {
 public:
  explicit DeviceBytes(const std::vector<std::uint8_t>& bytes, std::size_t misalignment = 0)
      : size_(bytes.size()), misalignment_(misalignment) {
    CHECK_CUDA(cudaMalloc(&memory_, size_ + misalignment + 1));
    upload(bytes);
  }
  ~DeviceBytes() { cudaFree(memory_); }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;

  std::uint8_t* data() const { return static_cast<std::uint8_t*>(memory_) + misalignment_; }
  void upload(const std::vector<std::uint8_t>& bytes) {
    CHECK_CUDA(cudaMemcpy(data(), bytes.data(), size_, cudaMemcpyHostToDevice));
  }
  std::vector<std::uint8_t> download() const {
    std::vector<std::uint8_t> bytes(size_);
    CHECK_CUDA(cudaMemcpy(bytes.data(), data(), size_, cudaMemcpyDeviceToHost));
    return bytes;
  }

 private:
  void* memory_ = nullptr;
  std::size_t size_;
  std::size_t misalignment_;
};
