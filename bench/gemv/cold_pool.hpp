// Weights that no cache holds: as many copies as 64 launches use or as fit, one after the other.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels.hpp"
#include "timing.hpp"

namespace bench {

class ColdPool {
 public:
  static constexpr std::size_t kBytes = std::size_t{1536} << 20;
  static constexpr std::size_t kMostCopies = 64;  // what a graph of `microseconds` reads

  explicit ColdPool(cudaStream_t stream) : stream_(stream) {
    CHECK_CUDA(cudaMalloc(reinterpret_cast<void**>(&data_), kBytes));
  }
  ~ColdPool() { cudaFree(data_); }
  ColdPool(const ColdPool&) = delete;
  ColdPool& operator=(const ColdPool&) = delete;

  // Fills copies of `bytes` of `pattern` with `scale_bytes` of block scales behind them.
  void take(std::size_t bytes, BitPattern pattern, std::size_t scale_bytes = 0) {
    stride_ = (bytes + scale_bytes + 255) / 256 * 256;
    count_ = std::min(kMostCopies, kBytes / stride_);
    for (std::size_t i = 0; i < count_; ++i) {
      fill(data_ + i * stride_, bytes, pattern, static_cast<unsigned>(i), stream_);
      if (scale_bytes > 0) fill(data_ + i * stride_ + bytes, scale_bytes, kRandomScales, 1000, stream_);
    }
  }

  const std::uint8_t* copy(int i) const { return data_ + static_cast<std::size_t>(i) % count_ * stride_; }
  const std::uint8_t* data() const { return data_; }

 private:
  cudaStream_t stream_;
  std::uint8_t* data_ = nullptr;
  std::size_t stride_ = 0;
  std::size_t count_ = 0;
};

}  // namespace bench
