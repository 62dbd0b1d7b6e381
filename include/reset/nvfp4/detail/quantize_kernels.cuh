/// @file
/// The kernels behind quantize.cuh.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/nvfp4/activations.hpp>
#include <reset/nvfp4/detail/device_elements.cuh>
#include <reset/nvfp4/detail/exact_float.hpp>
#include <reset/nvfp4/detail/quantize_device.cuh>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

inline constexpr int kQuantizeThreads = 256;

/// The values as they lie.
template <class T>
struct PlainSource {
  ElementRows<const T> x;

  __device__ __forceinline__ void load(std::int64_t row, std::int64_t octet, float (&values)[8]) const {
    const Octet<T> loaded = x.load(row, octet);
#pragma unroll
    for (int i = 0; i < 8; ++i) values[i] = widen_element(loaded.element[i]);
  }
};

/// silu(gate) * up.
template <class T>
struct SiluMulSource {
  ElementRows<const T> gate;
  ElementRows<const T> up;

  __device__ __forceinline__ void load(std::int64_t row, std::int64_t octet, float (&values)[8]) const {
    const Octet<T> gates = gate.load(row, octet);
    const Octet<T> ups = up.load(row, octet);
#pragma unroll
    for (int i = 0; i < 8; ++i)
      values[i] = mul_rn(silu(widen_element(gates.element[i])), widen_element(ups.element[i]));
  }
};

/// A thread an octet; `chunks` CTAs in a row share a row of the result, rows of padding included.
template <class Source>
static __global__ __launch_bounds__(kQuantizeThreads) void quantize_kernel(Source source, QuantizeTarget target,
                                                                           unsigned chunks) {
  release_dependents();
  wait_for_dependencies();
  const std::int64_t row = blockIdx.x / chunks;
  const std::int64_t first_octet = static_cast<std::int64_t>(blockIdx.x % chunks) * kQuantizeThreads;
  zero_scale_padding(row, first_octet / 2, kQuantizeThreads / 2, target);
  if (row >= target.out.rows) return;
  const std::int64_t octet = first_octet + threadIdx.x;
  const bool present = octet < target.octets();
  float values[8] = {};
  if (present) source.load(row, octet, values);
  quantize_octet(values, row, octet, present, target.global_of(row), target);
}

/// What RMSNorm reads; `residual.data` may be null.
template <class T>
struct RmsSource {
  ElementRows<const T> x;
  ElementRows<T> residual;
  ElementRows<const T> weight;
  float epsilon;

  /// Draws the weights into the second-level cache: no kernel ahead in the stream writes them.
  __device__ __forceinline__ void prefetch_weight(std::int64_t octets) const {
    for (std::int64_t octet = threadIdx.x; octet < octets; octet += kSumLanes) {
      asm volatile("prefetch.global.L2 [%0];" ::"l"(weight.data + octet * 8));
    }
  }

  /// x, or x + residual rounded to T, which becomes the residual.
  __device__ __forceinline__ Octet<T> load_sum(std::int64_t row, std::int64_t octet) const {
    Octet<T> sum = x.load(row, octet);
    if (residual.data == nullptr) return sum;
    const Octet<T> old = residual.load(row, octet);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      sum.element[i] = round_element<T>(add_rn(widen_element(sum.element[i]), widen_element(old.element[i])));
    }
    sum.store(residual.data + row * residual.stride + octet * 8, residual.aligned);
    return sum;
  }

  /// The same octet again, by the thread that has called load_sum for it.
  __device__ __forceinline__ Octet<T> reload_sum(std::int64_t row, std::int64_t octet) const {
    return residual.data == nullptr ? x.load(row, octet) : residual.load(row, octet);
  }
};

template <class T>
static __device__ __forceinline__ float sum_of_row_squares(const RmsSource<T>& source, std::int64_t row,
                                                           std::int64_t octets) {
  float partial = 0.0f;
  for (std::int64_t octet = threadIdx.x; octet < octets; octet += kSumLanes) {
    const Octet<T> sum = source.load_sum(row, octet);
    float values[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) values[i] = widen_element(sum.element[i]);
    partial = add_rn(partial, sum_of_eight_squares(values));
  }
  return sum_over_lanes(partial);
}

/// A CTA a row, rows of padding included: one pass adds and sums up, the other normalises and quantises.
template <class T>
static __global__ __launch_bounds__(kSumLanes) void rms_norm_quantize_kernel(RmsSource<T> source,
                                                                             QuantizeTarget target) {
  source.prefetch_weight(target.octets());
  release_dependents();
  wait_for_dependencies();
  const std::int64_t row = blockIdx.x;
  zero_scale_padding(row, 0, target.out.block_scale.stride, target);
  if (row >= target.out.rows) return;
  const std::int64_t octets = target.octets();
  const float factor = rms_reciprocal(sum_of_row_squares(source, row, octets), target.out.cols, source.epsilon);
  const GlobalScale global = target.global_of(row);
  for (std::int64_t first = 0; first < octets; first += kSumLanes) {
    const std::int64_t octet = first + threadIdx.x;
    const bool present = octet < octets;
    float values[8] = {};
    if (present) {
      const Octet<T> sum = source.reload_sum(row, octet);
      const Octet<T> weight = source.weight.load(0, octet);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        values[i] = mul_rn(mul_rn(widen_element(sum.element[i]), factor), widen_element(weight.element[i]));
      }
    }
    quantize_octet(values, row, octet, present, global, target);
  }
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
