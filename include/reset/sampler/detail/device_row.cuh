/// @file
/// How the device reads a row of logits: runs of neighbours, in vectors where the row's address allows it.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_block.cuh>
#include <reset/sampler/logits.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

inline constexpr int kChunk = static_cast<int>(kEntropyChunk);
inline constexpr int kChunkBlocks = 256;  // of random numbers: ids 256 apart share one
inline constexpr float kLog2E = 1.44269504f;
inline constexpr float kLn2 = 0.693147181f;

/// One row where it lies.
template <class T>
struct DeviceRow {
  const T* data;
  int columns;
  bool aligned;  // to 16 bytes

  __device__ DeviceRow(const T* row, int width)
      : data(row), columns(width), aligned(reinterpret_cast<std::uintptr_t>(row) % 16 == 0) {}
  __device__ __forceinline__ int chunks() const { return (columns + kChunk - 1) / kChunk; }
};

static __device__ __forceinline__ float device_float(float x) { return x; }
static __device__ __forceinline__ float device_float(BFloat16 x) { return to_float(x); }
static __device__ __forceinline__ float device_float(Half x) {
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(x.bits));
  return result;
}

template <class T>
static __device__ __forceinline__ T masked_logit();
template <>
__device__ __forceinline__ float masked_logit<float>() {
  return float_from_bits(0xff800000u);
}
template <>
__device__ __forceinline__ Half masked_logit<Half>() {
  return {0xfc00};
}
template <>
__device__ __forceinline__ BFloat16 masked_logit<BFloat16>() {
  return {0xff80};
}

/// `Count` neighbouring logits as they are stored.
template <class T, int Count>
struct LogitRun {
  static constexpr int kBytes = Count * static_cast<int>(sizeof(T));
  static constexpr int kVector = kBytes < 16 ? kBytes : 16;
  alignas(kVector) T value[Count];
};

template <int Bytes>
struct VectorOf;
template <>
struct VectorOf<4> {
  using Type = unsigned;
};
template <>
struct VectorOf<8> {
  using Type = uint2;
};
template <>
struct VectorOf<16> {
  using Type = uint4;
};

/// The logits of ids first..first + Count - 1, -inf where the row has ended; `first` is a multiple of Count.
template <int Count, class T>
static __device__ __forceinline__ LogitRun<T, Count> load_run(const DeviceRow<T>& row, int first) {
  using Run = LogitRun<T, Count>;
  using Vector = typename VectorOf<Run::kVector>::Type;
  Run run;
  if (row.aligned && first + Count <= row.columns) {
    const Vector* source = reinterpret_cast<const Vector*>(row.data + first);
#pragma unroll
    for (int i = 0; i < Run::kBytes / Run::kVector; ++i) reinterpret_cast<Vector*>(run.value)[i] = source[i];
  } else {
#pragma unroll
    for (int i = 0; i < Count; ++i) run.value[i] = first + i < row.columns ? row.data[first + i] : masked_logit<T>();
  }
  return run;
}

/// The logit of one id, -inf behind the end.
template <class T>
static __device__ __forceinline__ float load_logit(const DeviceRow<T>& row, int id) {
  return device_float(id < row.columns ? row.data[id] : masked_logit<T>());
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
