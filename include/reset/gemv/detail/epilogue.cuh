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

__device__ __forceinline__ float silu(float x) { return x / (1.0f + expf(-x)); }

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
    float value = valid ? scaled(row, sum) : 0.0f;
    if constexpr (kRows > 1) {
      if (rows.gated) {
        value = gated(value, __shfl_down_sync(0xffffffffu, value, kRows / 2));
        valid = valid && slot < kRows / 2;
      }
    }
    if (valid) store(token, row, value);
  }

  /// The sum of a row of the weights with its global scale, alpha and bias.
  __device__ __forceinline__ float scaled(std::int64_t row, float sum) const {
    // The parts one by one: an index known only at run time would move them to local memory.
    const FusedGlobalScales& global = problem_.weights.global;
    float scale = global.parts[0].scale.value;
#pragma unroll
    for (int part = 1; part < FusedGlobalScales::kMaxParts; ++part) {
      if (part < global.count && global.parts[part].first_row <= row) scale = global.parts[part].scale.value;
    }
    const float value = sum * unit_ * scale * activation_scale_ * alpha_;
    if (problem_.bias == nullptr) return value;
    return value + load_value(problem_.bias, problem_.output.type, row);
  }

  /// SwiGLU of a row of the first half and its pair from the second.
  __device__ __forceinline__ float gated(float first, float second) const {
    return problem_.gate == GemvGate::kGateUp ? silu(first) * second : silu(second) * first;
  }

  /// Adds the residual, rounds and stores.
  __device__ __forceinline__ void store(int token, std::int64_t column, float value) const {
    const OutputView& output = problem_.output;
    const std::int64_t index = token * output.row_stride + column;
    if (problem_.residual != nullptr) value += load_value(problem_.residual, output.type, index);
    store_value(output.data, output.type, index, value);
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
