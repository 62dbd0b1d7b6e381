// Owns the device memory of the mat-vec benchmark and measures what it compares: calls, floor, cuBLAS, clocks.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <tuple>

#include <reset/gemv/policy.hpp>

#include "baselines.hpp"
#include "cold_pool.hpp"
#include "layers.hpp"

namespace bench {

class GemvFixture {
 public:
  explicit GemvFixture(bool baselines);
  ~GemvFixture();
  GemvFixture(const GemvFixture&) = delete;
  GemvFixture& operator=(const GemvFixture&) = delete;

  // Each launch behind the same one, and saying so.
  double time_us(const Case& c);
  // The same, but each with the cut for a call that is behind whatever it may be.
  double any_ahead_us(const Case& c);
  // Each launch a dependent of the one before, which has asked for the first rows of its weights.
  double prefetched_us(const Case& c);
  // One launch with cold weights, the only one that a profiler which waits for cudaProfilerStart sees.
  void profile(const Case& c);
  // The cut that the library selects; the time with another one, or nothing where that cannot serve the call.
  reset::GemvPolicy selected(const Case& c);
  std::optional<double> time_us(const Case& c, const reset::GemvPolicy& policy, Repeats repeats);

  // Measured once for a shape. The baselines are empty if they were not asked for.
  double floor_us(const Layer& layer);
  const Bf16Baseline& bf16(const Layer& layer, std::int64_t m);
  const Fp8Baseline& fp8(const Layer& layer, std::int64_t m);

  double sm_clock_mhz();  // right after whatever ran before
  double read_rate();     // TB/s of the floor's kernel over 1 GiB
  const reset::DeviceInfo& device() const { return device_; }

 private:
  using Shape = std::tuple<std::int64_t, std::int64_t, std::int64_t>;  // n, k, m

  void take(const Layer& layer, reset::ScaleLayout layout);
  reset::GemvProblem problem(const Case& c, int copy) const;
  Matmul product(const Layer& layer, std::int64_t m) const { return {layer.n, layer.k, m, layer.k, 1.0f, false}; }

  reset::DeviceInfo device_;
  cudaStream_t stream_ = nullptr;
  std::unique_ptr<ColdPool> pool_;
  std::unique_ptr<Blas> blas_;  // none without baselines
  std::uint8_t* codes_ = nullptr;
  std::uint8_t* scales_ = nullptr;
  void* bf16_ = nullptr;
  void* fp16_ = nullptr;
  void* fp8_ = nullptr;
  void* output_ = nullptr;
  unsigned long long* scratch_ = nullptr;
  std::map<Shape, double> floors_;
  std::map<Shape, Bf16Baseline> bf16_baselines_;
  std::map<Shape, Fp8Baseline> fp8_baselines_;
};

}  // namespace bench
