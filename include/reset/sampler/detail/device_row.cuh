/// @file
/// How the device reads a row of logits: runs of neighbours, in vectors where the row's address allows it.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_block.cuh>
#include <reset/sampler/detail/exact_math.hpp>
#include <reset/sampler/logits.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

inline constexpr int kChunk = static_cast<int>(kEntropyChunk);
inline constexpr int kChunkBlocks = 256;  // of random numbers: ids 256 apart share one

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

/// The logit in one half of a word.
static __device__ __forceinline__ float logit_of_half(std::uint32_t word, bool upper, BFloat16) {
  return float_from_bits(upper ? word & 0xffff0000u : word << 16);
}
static __device__ __forceinline__ float logit_of_half(std::uint32_t word, bool upper, Half) {
  return device_float(Half{static_cast<std::uint16_t>(upper ? word >> 16 : word)});
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

/// `Count` neighbouring logits in words as they are stored: taken apart where they are used, and not before, two of
/// 16 bits share a register.
template <class T, int Count>
struct LogitRun {
  static constexpr int kBytes = Count * static_cast<int>(sizeof(T));
  static constexpr int kVector = kBytes < 16 ? kBytes : 16;
  static_assert(kBytes % 4 == 0, "a run is whole words");
  alignas(kVector) std::uint32_t word[kBytes / 4];

  __device__ __forceinline__ float at(int i) const {
    if constexpr (sizeof(T) == 4) {
      return float_from_bits(word[i]);
    } else {
      return logit_of_half(word[i / 2], i % 2 != 0, T());
    }
  }
};

/// The larger one of each half of two words, NaN if either is.
static __device__ __forceinline__ std::uint32_t max_of_halves(std::uint32_t a, std::uint32_t b, BFloat16) {
  std::uint32_t result;
  asm("max.NaN.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
  return result;
}
static __device__ __forceinline__ std::uint32_t max_of_halves(std::uint32_t a, std::uint32_t b, Half) {
  std::uint32_t result;
  asm("max.NaN.f16x2 %0, %1, %2;" : "=r"(result) : "r"(a), "r"(b));
  return result;
}

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

static __device__ __forceinline__ std::uint32_t logit_bits(float x) { return bits_of(x); }
static __device__ __forceinline__ std::uint32_t logit_bits(BFloat16 x) { return x.bits; }
static __device__ __forceinline__ std::uint32_t logit_bits(Half x) { return x.bits; }

/// The logits of ids first..first + Count - 1 of an aligned row that has them all; `first` is a multiple of Count.
template <int Count, class T>
static __device__ __forceinline__ LogitRun<T, Count> load_run(const DeviceRow<T>& row, int first) {
  using Run = LogitRun<T, Count>;
  using Vector = typename VectorOf<Run::kVector>::Type;
  Run run;
  const Vector* source = reinterpret_cast<const Vector*>(row.data + first);
#pragma unroll
  for (int i = 0; i < Run::kBytes / Run::kVector; ++i) reinterpret_cast<Vector*>(run.word)[i] = source[i];
  return run;
}

/// The same one by one, wherever the row lies, -inf where it has ended.
template <int Count, class T>
static __device__ __forceinline__ LogitRun<T, Count> load_each(const DeviceRow<T>& row, int first) {
  LogitRun<T, Count> run{};
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    const std::uint32_t bits = logit_bits(first + i < row.columns ? row.data[first + i] : masked_logit<T>());
    run.word[i * static_cast<int>(sizeof(T)) / 4] |= bits << (i * static_cast<int>(sizeof(T)) % 4 * 8);
  }
  return run;
}

/// Either, whichever the row allows.
template <int Count, class T>
static __device__ __forceinline__ LogitRun<T, Count> load_any(const DeviceRow<T>& row, int first) {
  return row.aligned && first + Count <= row.columns ? load_run<Count>(row, first) : load_each<Count>(row, first);
}

/// The logit of one id, -inf behind the end.
template <class T>
static __device__ __forceinline__ float load_logit(const DeviceRow<T>& row, int id) {
  return device_float(id < row.columns ? row.data[id] : masked_logit<T>());
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
