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

  bool aligned() const { return x.aligned; }
  template <bool kAligned>
  __device__ __forceinline__ void load(std::int64_t row, std::int64_t octet, float (&values)[8]) const {
    widen_octet(x.template load<kAligned>(row, octet), values);
  }
};

/// silu(gate) * up.
template <class T>
struct SiluMulSource {
  ElementRows<const T> gate;
  ElementRows<const T> up;

  bool aligned() const { return gate.aligned && up.aligned; }
  template <bool kAligned>
  __device__ __forceinline__ void load(std::int64_t row, std::int64_t octet, float (&values)[8]) const {
    const Octet<T> gates = gate.template load<kAligned>(row, octet);
    const Octet<T> ups = up.template load<kAligned>(row, octet);
#pragma unroll
    for (int i = 0; i < 8; ++i)
      values[i] = mul_rn(reset::silu(widen_element(gates.element[i])), widen_element(ups.element[i]));
  }
};

/// A thread an octet; `chunks` CTAs in a row share a row of the result, those after the last row clear the padding.
/// kAligned: all that is read and written is, and the long code for rows that begin anywhere need not be fetched.
template <class Source, bool kAligned>
static __global__ __launch_bounds__(kQuantizeThreads) void quantize_kernel(Source source, QuantizeTarget target,
                                                                           unsigned chunks) {
  const std::int64_t row = blockIdx.x / chunks;
  const unsigned chunk = blockIdx.x % chunks;
  const std::int64_t octet = static_cast<std::int64_t>(chunk) * blockDim.x + threadIdx.x;
  const OctetPlace place(target.out, row, octet);
  GlobalFactor global(target.out.global.at(row));
  release_dependents();
  wait_for_dependencies();
  if (target.global != nullptr) global = GlobalFactor({*target.global});
  if (row >= target.out.rows) {
    zero_row_padding(blockIdx.x - static_cast<unsigned>(target.out.rows) * chunks, target);
    return;
  }
  if (chunk == 0) zero_block_padding(row, target);
  const bool present = octet < target.octets();
  float values[8] = {};
  if (present) source.template load<kAligned>(row, octet, values);
  quantize_octet<kAligned>(values, place, present, global, target.packed_aligned);
}

/// What RMSNorm reads; `residual.data` may be null.
template <class T>
struct RmsSource {
  ElementRows<const T> x;
  ElementRows<T> residual;
  ElementRows<const T> weight;
  float epsilon;

  bool aligned() const { return x.aligned && weight.aligned && (residual.data == nullptr || residual.aligned); }

  /// x + residual rounded to T, which becomes the residual.
  template <bool kAligned>
  __device__ __forceinline__ Octet<T> add(const Octet<T>& octet_of_x, const Octet<T>& old, std::int64_t row,
                                          std::int64_t octet) const {
    float sums[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) sums[i] = add_rn(widen_element(octet_of_x.element[i]), widen_element(old.element[i]));
    const Octet<T> sum = round_octet<T>(sums);
    sum.store(residual.data + row * residual.stride + octet * 8, kAligned || residual.aligned);
    return sum;
  }

  /// s of an octet.
  template <bool kAligned>
  __device__ __forceinline__ Octet<T> load_sum(std::int64_t row, std::int64_t octet) const {
    const Octet<T> octet_of_x = x.template load<kAligned>(row, octet);
    if (residual.data == nullptr) return octet_of_x;
    return add<kAligned>(octet_of_x, residual.template load<kAligned>(row, octet), row, octet);
  }

  /// The same octet again, by the thread that has called load_sum for it.
  template <bool kAligned>
  __device__ __forceinline__ Octet<T> reload_sum(std::int64_t row, std::int64_t octet) const {
    return residual.data == nullptr ? x.template load<kAligned>(row, octet)
                                    : residual.template load<kAligned>(row, octet);
  }
};

/// One CTA's row on its way through RMSNorm. A thread keeps its first octet in registers, and reads those of rows of
/// more than 8 * kSumLanes columns a second time.
template <class T, bool kAligned>
struct RmsRow {
  const RmsSource<T>& source;
  std::int64_t row;
  std::int64_t octets;
  Octet<T> weight;
  Octet<T> sum;

  __device__ __forceinline__ bool present() const { return threadIdx.x < octets; }

  /// No kernel ahead in the stream writes the weights: they may be read before it ends.
  __device__ __forceinline__ void load_weights() {
    if (present()) weight = source.weight.template load<kAligned>(0, threadIdx.x);
  }

  __device__ __forceinline__ void load_sums() {
    if (present()) sum = source.template load_sum<kAligned>(row, threadIdx.x);
  }

  __device__ __forceinline__ float sum_of_squares() const {
    float partial = 0.0f;
    float values[8];
    if (present()) {
      widen_octet(sum, values);
      partial = sum_of_eight_squares(values);
    }
#pragma unroll 1
    for (std::int64_t octet = threadIdx.x + kSumLanes; octet < octets; octet += kSumLanes) {
      widen_octet(source.template load_sum<kAligned>(row, octet), values);
      partial = add_rn(partial, sum_of_eight_squares(values));
    }
    return sum_over_lanes(partial);
  }

  __device__ __forceinline__ void quantize(float factor, OctetPlace place, const GlobalFactor& global,
                                           const QuantizeTarget& target) const {
    Octet<T> own = sum;
    Octet<T> factors = weight;
    // One loop for the held octets and others: the quantiser, which is long, stands in the code once.
#pragma unroll 1
    for (std::int64_t octet = threadIdx.x; octet - threadIdx.x < octets; octet += kSumLanes) {
      float values[8] = {};
      if (octet < octets) {
        if (octet >= kSumLanes) {
          own = source.template reload_sum<kAligned>(row, octet);
          factors = source.weight.template load<kAligned>(0, octet);
          place = OctetPlace(target.out, row, octet);
        }
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          values[i] = mul_rn(mul_rn(widen_element(own.element[i]), factor), widen_element(factors.element[i]));
        }
      }
      quantize_octet<kAligned>(values, place, octet < octets, global, target.packed_aligned);
    }
  }
};

/// Warps of a CTA that quantise where several CTAs share a row: one for each scheduler of a multiprocessor.
inline constexpr int kNormPartWarps = 4;

/// `parts` CTAs in a row, of up to kSumLanes threads, share a row: each adds all of it up, which is quicker than to ask
/// the others, and quantises what its part of the warps hold, which would otherwise keep one multiprocessor busy. Those
/// after the last row clear the padding. One part where sums are written.
template <class T, bool kAligned>
static __global__ __launch_bounds__(kSumLanes) void rms_norm_quantize_kernel(RmsSource<T> source, QuantizeTarget target,
                                                                             unsigned parts) {
  const unsigned part = blockIdx.x % parts;
  RmsRow<T, kAligned> row{source, blockIdx.x / parts, target.octets(), {}, {}};
  const bool quantizes = parts == 1 || threadIdx.x / (32 * kNormPartWarps) == part;
  if (quantizes) row.load_weights();
  const OctetPlace place(target.out, row.row, threadIdx.x);
  GlobalFactor global(target.out.global.at(row.row));
  release_dependents();
  wait_for_dependencies();
  if (target.global != nullptr) global = GlobalFactor({*target.global});
  if (row.row >= target.out.rows) {
    zero_row_padding(blockIdx.x - static_cast<unsigned>(target.out.rows) * parts, target);
    return;
  }
  if (part == 0) zero_block_padding(row.row, target);
  row.load_sums();
  const float factor = rms_reciprocal(row.sum_of_squares(), target.out.cols, source.epsilon);
  if (quantizes) row.quantize(factor, place, global, target);
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
