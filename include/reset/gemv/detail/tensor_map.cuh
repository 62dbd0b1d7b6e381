/// @file
/// Tensor maps, with which one instruction brings some rows of weights: sm_90 and later. The driver makes them, and its
/// function is found through the runtime: nothing links with the driver.
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/kernel_needs.hpp>
#include <reset/gemv/policy.hpp>
#include <reset/nvfp4/matrix.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Boxes of kBoxRows rows and of a CTA's slice of K; what a box has beyond the matrix is read as 0.
struct WeightMaps {
  CUtensorMap codes;
  CUtensorMap scales;  ///< Unless they come in words.
};

using EncodeTensorMap = decltype(&cuTensorMapEncodeTiled);

inline namespace RESET_ARCH_NAMESPACE {

/// Finds the driver's cuTensorMapEncodeTiled; fails where the driver has none.
static inline Status find_encode_tensor_map(void*& function) noexcept {
  constexpr unsigned kVersion = 12000;  // of the function's signature
  cudaDriverEntryPointQueryResult result{};
  const Status status = cuda_status(
      "cudaGetDriverEntryPointByVersion",
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, kVersion, cudaEnableDefault, &result));
  if (!status.ok() || result == cudaDriverEntryPointSuccess) return status;
  return Status(StatusCode::kUnsupported, "cuTensorMapEncodeTiled", static_cast<int>(result), "a driver that has it");
}

/// A matrix of rows `stride` bytes apart, `columns` elements each, to be read in boxes of `box` columns.
static inline Status encode_rows(void* function, CUtensorMapDataType type, const std::uint8_t* data,
                                 std::int64_t columns, std::int64_t rows, std::int64_t stride, int box,
                                 CUtensorMap& map) noexcept {
  const cuuint64_t extent[2] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[1] = {static_cast<cuuint64_t>(stride)};
  const cuuint32_t boxes[2] = {static_cast<cuuint32_t>(box), kBoxRows};
  const cuuint32_t steps[2] = {1, 1};
  const CUresult result = reinterpret_cast<EncodeTensorMap>(function)(
      &map, type, 2, const_cast<std::uint8_t*>(data), extent, strides, boxes, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
      CU_TENSOR_MAP_SWIZZLE_NONE, CU_TENSOR_MAP_L2_PROMOTION_NONE, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result == CUDA_SUCCESS) return Status();
  return Status(StatusCode::kCudaError, "cuTensorMapEncodeTiled", static_cast<int>(result), "CUDA_SUCCESS, 0");
}

/// The maps of weights that kTensorRing serves, for CTAs of `units` of K.
static inline Status encode_weights(const DeviceInfo& device, const Nvfp4MatrixView& w, int units,
                                    WeightMaps& maps) noexcept {
  if (device.encode_tensor_map == nullptr) {
    return Status(StatusCode::kInvalidArgument, "device.encode_tensor_map", 0, "not null, as gemv_prepare finds it");
  }
  const Status status = encode_rows(device.encode_tensor_map, CU_TENSOR_MAP_DATA_TYPE_INT64, w.packed, w.cols / 16,
                                    w.rows, w.row_stride, tensor_code_pitch(units) / 8, maps.codes);
  if (!status.ok() || !scale_rows_are_whole(w)) return status;
  return encode_rows(device.encode_tensor_map, CU_TENSOR_MAP_DATA_TYPE_UINT16, first_scale(w), w.cols / 32, w.rows,
                     w.block_scale.stride, tensor_scale_pitch(units) / 2, maps.scales);
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
