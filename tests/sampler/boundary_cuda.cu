#include <cuda_runtime_api.h>

#include "boundary_cuda.hpp"

namespace boundary_test {
namespace {

__global__ void observe_kernel(Everything detector, const reset::TokenEvent* events, std::size_t count,
                               std::uint8_t* marks) {
  observe_all(detector, events, count, marks);
}

// Memory on the device, filled from the host; empty if that failed.
class DeviceCopy {
 public:
  DeviceCopy(const void* from, std::size_t bytes) {
    status = cudaMalloc(&memory_, bytes);
    if (status == cudaSuccess) status = cudaMemcpy(memory_, from, bytes, cudaMemcpyHostToDevice);
  }
  ~DeviceCopy() { cudaFree(memory_); }
  DeviceCopy(const DeviceCopy&) = delete;
  DeviceCopy& operator=(const DeviceCopy&) = delete;

  template <class T>
  T* as() const {
    return static_cast<T*>(memory_);
  }

  cudaError_t status;

 private:
  void* memory_ = nullptr;
};

}  // namespace

void observe_all_by_nvcc(const Everything& detector, const reset::TokenEvent* events, std::size_t count,
                         std::uint8_t* marks) {
  observe_all(detector, events, count, marks);
}

std::string observe_all_on_device(const Tables& tables, const reset::TokenEvent* events, std::size_t count,
                                  std::uint8_t* marks) {
  const DeviceCopy set(tables.set.data(), tables.set.size_bytes());
  const DeviceCopy text(tables.text.data(), tables.text.size_bytes());
  const DeviceCopy device_events(events, count * sizeof *events);
  const DeviceCopy device_marks(marks, count);
  for (const DeviceCopy* copy : {&set, &text, &device_events, &device_marks}) {
    if (copy->status != cudaSuccess) return cudaGetErrorString(copy->status);
  }
  const Everything detector =
      everything(tables.set.detector(set.as<std::uint32_t>()), tables.text.detector(text.as<std::uint16_t>()));
  observe_kernel<<<1, 1>>>(detector, device_events.as<reset::TokenEvent>(), count, device_marks.as<std::uint8_t>());
  const cudaError_t launch = cudaGetLastError();
  if (launch != cudaSuccess) return cudaGetErrorString(launch);
  return cudaGetErrorString(cudaMemcpy(marks, device_marks.as<std::uint8_t>(), count, cudaMemcpyDeviceToHost));
}

}  // namespace boundary_test
