/// @file
/// From the sum of a row to the stored result: global scales, alpha, bias, gate, residual, rounding. All kernels share
/// it.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/tile_rows.hpp>
#include <reset/gemv/problem.hpp>
#include <reset/nvfp4/activations.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

__device__ __forceinline__ float load_value(const void* data, OutputType type, std::int64_t index) {
  if (type == OutputType::kFp32) return static_cast<const float*>(data)[index];
  if (type == OutputType::kFp16) return __half2float(static_cast<const __half*>(data)[index]);
  return __bfloat162float(static_cast<const __nv_bfloat16*>(data)[index]);
}

__device__ __forceinline__ void store_value(void* data, OutputType type, std::int64_t index, float value) {
  if (type == OutputType::kFp32) {
    static_cast<float*>(data)[index] = value;
  } else if (type == OutputType::kFp16) {
    static_cast<__half*>(data)[index] = __float2half_rn(value);
  } else {
    static_cast<__nv_bfloat16*>(data)[index] = __float2bfloat16_rn(value);
  }
}

/// Constructed after the wait of a dependent launch: it reads alpha.
class Epilogue {
 public:
  /// `unit` is what the kernel's sums are to be multiplied with to be sums of products of elements and block scales.
  __device__ Epilogue(const GemvProblem& problem, float unit)
      : problem_(problem),
        unit_(unit),
        activation_scale_(problem.activations.type == ActivationType::kNvfp4
                              ? problem.activations.nvfp4.global.parts[0].scale.value
                              : 1.0f),
        alpha_(problem.alpha.device == nullptr ? problem.alpha.host : problem.alpha.host * *problem.alpha.device) {}

  /// Stores what a tile gives; a whole warp calls it. A lane brings `sum`, the sum of the row in slot `slot` for a
  /// token, if it is `valid`; with a gate the lane that is kRows / 2 further on brings the same of the row's pair.
  template <int kRows>
  __device__ __forceinline__ void store(TileRows<kRows> rows, std::int64_t tile, int token, int slot, float sum,
                                        bool valid) const {
    valid = valid && token < problem_.tokens && rows.holds(tile, slot);
    const std::int64_t row = rows.row(tile, slot);
    float value = valid ? scaled(terms(row), sum) : 0.0f;
    if constexpr (kRows > 1) {
      if (rows.gated) {
        value = gated(value, __shfl_down_sync(0xffffffffu, value, kRows / 2));
        valid = valid && slot < kRows / 2;
      }
    }
    const std::int64_t place = index(token, row);
    if (valid) store(place, value + residual(place));
  }

  /// What a row of the weights brings to its results. Without a bias it is -0: adding that changes nothing, not even a
  /// zero's sign.
  struct RowTerms {
    float scale;
    float bias;
  };
  __device__ __forceinline__ RowTerms terms(std::int64_t row) const {
    // The parts one by one: an index known only at run time would move them to local memory.
    const FusedGlobalScales& global = problem_.weights.global;
    float scale = global.parts[0].scale.value;
#pragma unroll
    for (int part = 1; part < FusedGlobalScales::kMaxParts; ++part) {
      if (part < global.count && global.parts[part].first_row <= row) scale = global.parts[part].scale.value;
    }
    return {scale, problem_.bias == nullptr ? -0.0f : load_value(problem_.bias, problem_.output.type, row)};
  }

  /// The sum of a row of the weights with its global scale, alpha and bias.
  __device__ __forceinline__ float scaled(const RowTerms& terms, float sum) const {
    return sum * unit_ * terms.scale * activation_scale_ * alpha_ + terms.bias;
  }

  /// SwiGLU of a row of the first half and its pair from the second.
  __device__ __forceinline__ float gated(float first, float second) const {
    return problem_.gate == GemvGate::kGateUp ? reset::silu(first) * second : reset::silu(second) * first;
  }

  /// Where a token's result is, in elements.
  __device__ __forceinline__ std::int64_t index(int token, std::int64_t column) const {
    return token * problem_.output.row_stride + column;
  }
  /// What is added to it at last; -0 where there is nothing.
  __device__ __forceinline__ float residual(std::int64_t index) const {
    if (problem_.residual == nullptr) return -0.0f;
    __builtin_assume(__isGlobal(problem_.residual));  // of several, the compiler loses sight of it on sm_100
    return load_value(problem_.residual, problem_.output.type, index);
  }
  /// Rounds and stores.
  __device__ __forceinline__ void store(std::int64_t index, float value) const {
    store_value(problem_.output.data, problem_.output.type, index, value);
  }

 private:
  const GemvProblem& problem_;
  float unit_;
  float activation_scale_;
  float alpha_;
};

/// Lanes end with sums over the warp of kCount values (a power of two, at most 32): lane l holds the sum of value
/// `warp_sum_index<kCount>(l)`. At each step half of the values go to the partner: kCount - 1 shuffles and the rest
/// of five, not 5 kCount.
template <int kCount>
__device__ __forceinline__ float warp_sums(float (&values)[kCount], int lane) {
  int width = kCount;
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    if (width > 1) {
      width /= 2;
      const bool upper = (lane & offset) != 0;
#pragma unroll
      for (int i = 0; i < kCount / 2; ++i) {
        if (i < width) {
          const float sent = upper ? values[i] : values[i + width];
          const float kept = upper ? values[i + width] : values[i];
          values[i] = kept + __shfl_xor_sync(0xffffffffu, sent, offset);
        }
      }
    } else {
      values[0] += __shfl_xor_sync(0xffffffffu, values[0], offset);
    }
  }
  return values[0];
}

/// Which of kCount values a lane holds after `warp_sums`; 32 / kCount neighbours hold the same.
template <int kCount>
__device__ __forceinline__ int warp_sum_index(int lane) {
  return lane / (32 / kCount);
}

}  // namespace detail
RESET_NAMESPACE_END
