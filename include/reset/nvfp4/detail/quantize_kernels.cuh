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

/// Threads of a CTA where there are at least so many octets: 128 CTAs, about one for each multiprocessor of a large
/// device.
inline constexpr int kQuantizeThreads = 256;
inline constexpr std::int64_t kManyOctets = 128 * kQuantizeThreads;
/// Of fewer octets: so few threads that these, too, spread over the multiprocessors.
inline constexpr int kFewQuantizeThreads = 64;

/// The values as they lie.
template <class T>
struct PlainSource {
  ElementRows<const T> x;

  __device__ __forceinline__ void load(std::int64_t row, std::int64_t octet, float (&values)[8]) const {
    widen_octet(x.load(row, octet), values);
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

/// A thread an octet; `chunks` CTAs in a row share a row of the result, those after the last row clear the padding.
template <class Source>
static __global__ __launch_bounds__(kQuantizeThreads) void quantize_kernel(Source source, QuantizeTarget target,
                                                                           unsigned chunks) {
  release_dependents();
  wait_for_dependencies();
  const std::int64_t row = blockIdx.x / chunks;
  const unsigned chunk = blockIdx.x % chunks;
  if (row >= target.out.rows) {
    zero_row_padding(blockIdx.x - static_cast<unsigned>(target.out.rows) * chunks, target);
    return;
  }
  if (chunk == 0) zero_block_padding(row, target);
  const std::int64_t octet = static_cast<std::int64_t>(chunk) * blockDim.x + threadIdx.x;
  const bool present = octet < target.octets();
  float values[8] = {};
  if (present) source.load(row, octet, values);
  quantize_octet(values, row, octet, present, target.global_of(row), target);
}

/// Octets of a row that a thread of the norm keeps in registers; it reads further ones a second time.
inline constexpr int kHeldOctets = 2;

/// What RMSNorm reads; `residual.data` may be null.
template <class T>
struct RmsSource {
  ElementRows<const T> x;
  ElementRows<T> residual;
  ElementRows<const T> weight;
  float epsilon;

  /// x + residual rounded to T, which becomes the residual.
  __device__ __forceinline__ Octet<T> add(const Octet<T>& octet_of_x, const Octet<T>& old, std::int64_t row,
                                          std::int64_t octet) const {
    float sums[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) sums[i] = add_rn(widen_element(octet_of_x.element[i]), widen_element(old.element[i]));
    const Octet<T> sum = round_octet<T>(sums);
    sum.store(residual.data + row * residual.stride + octet * 8, residual.aligned);
    return sum;
  }

  /// s of an octet.
  __device__ __forceinline__ Octet<T> load_sum(std::int64_t row, std::int64_t octet) const {
    const Octet<T> octet_of_x = x.load(row, octet);
    return residual.data == nullptr ? octet_of_x : add(octet_of_x, residual.load(row, octet), row, octet);
  }

  /// The same octet again, by the thread that has called load_sum for it.
  __device__ __forceinline__ Octet<T> reload_sum(std::int64_t row, std::int64_t octet) const {
    return residual.data == nullptr ? x.load(row, octet) : residual.load(row, octet);
  }
};

/// One CTA's row on its way through RMSNorm.
template <class T>
struct RmsRow {
  const RmsSource<T>& source;
  std::int64_t row;
  std::int64_t octets;
  Octet<T> weight[kHeldOctets];
  Octet<T> sum[kHeldOctets];

  __device__ __forceinline__ static std::int64_t octet_of(int held) { return threadIdx.x + held * kSumLanes; }

  /// No kernel ahead in the stream writes the weights: they may be read before it ends.
  __device__ __forceinline__ void load_weights() {
#pragma unroll
    for (int i = 0; i < kHeldOctets; ++i) {
      if (octet_of(i) < octets) weight[i] = source.weight.load(0, octet_of(i));
    }
  }

  /// Reads all held octets before it writes any sum, so that their loads overlap.
  __device__ __forceinline__ void load_sums() {
    Octet<T> old[kHeldOctets];
#pragma unroll
    for (int i = 0; i < kHeldOctets; ++i) {
      if (octet_of(i) >= octets) continue;
      sum[i] = source.x.load(row, octet_of(i));
      if (source.residual.data != nullptr) old[i] = source.residual.load(row, octet_of(i));
    }
#pragma unroll
    for (int i = 0; i < kHeldOctets; ++i) {
      if (octet_of(i) >= octets || source.residual.data == nullptr) continue;
      sum[i] = source.add(sum[i], old[i], row, octet_of(i));
    }
  }

  __device__ __forceinline__ float sum_of_squares() const {
    float partial = 0.0f;
    float values[8];
#pragma unroll
    for (int i = 0; i < kHeldOctets; ++i) {
      if (octet_of(i) >= octets) continue;
      widen_octet(sum[i], values);
      partial = add_rn(partial, sum_of_eight_squares(values));
    }
#pragma unroll 1
    for (std::int64_t octet = octet_of(kHeldOctets); octet < octets; octet += kSumLanes) {
      widen_octet(source.load_sum(row, octet), values);
      partial = add_rn(partial, sum_of_eight_squares(values));
    }
    return sum_over_lanes(partial);
  }

  __device__ __forceinline__ static void normalize(const Octet<T>& sum, const Octet<T>& weight, float factor,
                                                   float (&values)[8]) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      values[i] = mul_rn(mul_rn(widen_element(sum.element[i]), factor), widen_element(weight.element[i]));
    }
  }

  __device__ __forceinline__ void quantize(float factor, const QuantizeTarget& target) const {
    const GlobalScale global = target.global_of(row);
    // One loop for held octets and others: the quantiser, which is long, stands in the code once.
#pragma unroll 1
    for (int i = 0; i * kSumLanes < octets; ++i) {
      const bool present = octet_of(i) < octets;
      float values[8] = {};
      if (present) {
        static_assert(kHeldOctets == 2, "held octets are told apart here, by selection");
        Octet<T> own = i == 0 ? sum[0] : sum[1];
        Octet<T> factors = i == 0 ? weight[0] : weight[1];
        if (i >= kHeldOctets) {
          own = source.reload_sum(row, octet_of(i));
          factors = source.weight.load(0, octet_of(i));
        }
        normalize(own, factors, factor, values);
      }
      quantize_octet(values, row, octet_of(i), present, global, target);
    }
  }
};

/// A CTA a row; those after the last row clear the padding.
template <class T>
static __global__ __launch_bounds__(kSumLanes) void rms_norm_quantize_kernel(RmsSource<T> source,
                                                                             QuantizeTarget target) {
  RmsRow<T> row{source, blockIdx.x, target.octets(), {}, {}};
  row.load_weights();
  release_dependents();
  wait_for_dependencies();
  if (row.row >= target.out.rows) {
    zero_row_padding(blockIdx.x - static_cast<unsigned>(target.out.rows), target);
    return;
  }
  zero_block_padding(row.row, target);
  row.load_sums();
  const float factor = rms_reciprocal(row.sum_of_squares(), target.out.cols, source.epsilon);
  row.quantize(factor, target);
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
