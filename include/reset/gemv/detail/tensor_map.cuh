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

/// A tensor of three dimensions, the one whose elements are neighbours first, and the boxes that it is read in.
struct MappedTensor {
  CUtensorMapDataType type;
  const std::uint8_t* data;
  std::int64_t extent[3];
  std::int64_t stride[2];  ///< Of the second and third, in bytes.
  int box[3];
  CUtensorMapL2promotion promotion = CU_TENSOR_MAP_L2_PROMOTION_NONE;  ///< What more a read brings to the cache.
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

static inline Status encode_tensor(const DeviceInfo& device, const MappedTensor& tensor, CUtensorMap& map) noexcept {
  if (device.encode_tensor_map == nullptr) {
    return Status(StatusCode::kInvalidArgument, "device.encode_tensor_map", 0, "not null, as gemv_prepare finds it");
  }
  cuuint64_t extent[3];
  cuuint32_t box[3];
  for (int i = 0; i < 3; ++i) extent[i] = static_cast<cuuint64_t>(tensor.extent[i]);
  for (int i = 0; i < 3; ++i) box[i] = static_cast<cuuint32_t>(tensor.box[i]);
  const cuuint64_t strides[2] = {static_cast<cuuint64_t>(tensor.stride[0]), static_cast<cuuint64_t>(tensor.stride[1])};
  const cuuint32_t steps[3] = {1, 1, 1};
  const CUresult result = reinterpret_cast<EncodeTensorMap>(device.encode_tensor_map)(
      &map, tensor.type, 3, const_cast<std::uint8_t*>(tensor.data), extent, strides, box, steps,
      CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE, tensor.promotion, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result == CUDA_SUCCESS) return Status();
  return Status(StatusCode::kCudaError, "cuTensorMapEncodeTiled", static_cast<int>(result), "a CUresult of the driver");
}

/// Packed rows as a box is to have them: neighbours, or spread, two of every 32.
static inline MappedTensor mapped_codes(const Nvfp4MatrixView& w, int units, bool spread) noexcept {
  constexpr CUtensorMapDataType kType = CU_TENSOR_MAP_DATA_TYPE_INT64;
  const std::int64_t columns = w.cols / 16;
  const int box = tensor_code_pitch(units) / 8;
  const std::int64_t far = kSpreadRows * w.row_stride;
  if (!spread) return {kType, w.packed, {columns, w.rows, 1}, {w.row_stride, far}, {box, kBoxRows, 1}};
  return {kType, w.packed, {columns, kSpreadRows, w.rows / kSpreadRows}, {w.row_stride, far}, {box, 2, kBoxRows / 2}};
}

/// Block scales of kBoxRows linear rows.
static inline MappedTensor mapped_scale_rows(const Nvfp4MatrixView& w, int units) noexcept {
  const std::int64_t stride = w.block_scale.stride;
  return {CU_TENSOR_MAP_DATA_TYPE_UINT16,
          first_scale(w),
          {w.cols / 32, w.rows, 1},
          {stride, kSpreadRows * stride},
          {tensor_scale_pitch(units) / 2, kBoxRows, 1}};
}

/// Block scales of `rows` rows that are spread: pieces of the swizzled tensor's tiles, `tiles` along K. The pieces
/// beside them are the next boxes'.
static inline MappedTensor mapped_scale_tiles(const Nvfp4MatrixView& w, int rows, int tiles) noexcept {
  const std::int64_t stride = w.block_scale.stride;
  return {CU_TENSOR_MAP_DATA_TYPE_UINT16,
          first_scale(w),
          {kScaleTileBytes / 2, w.cols / 64, w.rows / kScaleTileRows},
          {kScaleTileBytes, stride / kScaleTileBlocks * kScaleTileBytes},
          {rows * static_cast<int>(kScaleTileBlocks) / 2, tiles, 1},
          CU_TENSOR_MAP_L2_PROMOTION_L2_256B};
}

/// The maps of weights that kTensorRing serves in boxes, for CTAs of `units` of K.
static inline Status encode_weights(const DeviceInfo& device, const Nvfp4MatrixView& w, int units, ScaleCopies copies,
                                    WeightMaps& maps) noexcept {
  const Status status = encode_tensor(device, mapped_codes(w, units, copies == ScaleCopies::kTiles), maps.codes);
  if (!status.ok() || copies == ScaleCopies::kWords) return status;
  const MappedTensor scales = copies == ScaleCopies::kTiles ? mapped_scale_tiles(w, kBoxRows, units * (kUnitBlocks / 4))
                                                            : mapped_scale_rows(w, units);
  return encode_tensor(device, scales, maps.scales);
}

/// The map of block scales of kRing's tiles where these are spread.
static inline Status encode_ring_scales(const DeviceInfo& device, const Nvfp4MatrixView& w, CUtensorMap& map) noexcept {
  return encode_tensor(device, mapped_scale_tiles(w, kPieceRows, ring_box_pieces(w.cols)), map);
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
