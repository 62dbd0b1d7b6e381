/// @file
/// Eight neighbouring elements of a row: how kernels read and write half, bfloat16 and float.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/detail/rounding.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// Whether kernels read and write rows of T.
template <class T>
inline constexpr bool is_element_v =
    std::is_same_v<T, __half> || std::is_same_v<T, __nv_bfloat16> || std::is_same_v<T, float>;

static __device__ __forceinline__ float widen_element(float x) { return x; }
static __device__ __forceinline__ float widen_element(__half x) { return __half2float(x); }
static __device__ __forceinline__ float widen_element(__nv_bfloat16 x) {
  return float_from_bits(static_cast<std::uint32_t>(__bfloat16_as_ushort(x)) << 16);
}

/// Eight elements in registers, which one or two 16-byte accesses move where the address allows it.
template <class T>
struct alignas(16) Octet {
  T element[8];

  static __device__ __forceinline__ Octet load(const T* from, bool aligned) {
    Octet octet;
    if (aligned) {
      const uint4* source = reinterpret_cast<const uint4*>(from);
      uint4* target = reinterpret_cast<uint4*>(octet.element);
#pragma unroll
      for (std::size_t i = 0; i < sizeof(Octet) / 16; ++i) target[i] = source[i];
    } else {
#pragma unroll
      for (int i = 0; i < 8; ++i) octet.element[i] = from[i];
    }
    return octet;
  }

  __device__ __forceinline__ void store(T* to, bool aligned) const {
    if (aligned) {
      const uint4* source = reinterpret_cast<const uint4*>(element);
      uint4* target = reinterpret_cast<uint4*>(to);
#pragma unroll
      for (std::size_t i = 0; i < sizeof(Octet) / 16; ++i) target[i] = source[i];
    } else {
#pragma unroll
      for (int i = 0; i < 8; ++i) to[i] = element[i];
    }
  }
};

template <class T>
static __device__ __forceinline__ void widen_octet(const Octet<T>& octet, float (&values)[8]) {
#pragma unroll
  for (int i = 0; i < 8; ++i) values[i] = widen_element(octet.element[i]);
}

/// Eight floats rounded to T, nearest, ties to even; overflow gives infinity.
template <class T>
static __device__ __forceinline__ Octet<T> round_octet(const float (&x)[8]) {
  Octet<T> octet;
#pragma unroll
  for (int i = 0; i < 8; i += 2) {
    if constexpr (std::is_same_v<T, __half>) {
      const __half2 pair = __floats2half2_rn(x[i], x[i + 1]);
      octet.element[i] = pair.x;
      octet.element[i + 1] = pair.y;
    } else if constexpr (std::is_same_v<T, __nv_bfloat16>) {
      const __nv_bfloat162 pair = __floats2bfloat162_rn(x[i], x[i + 1]);
      octet.element[i] = pair.x;
      octet.element[i + 1] = pair.y;
    } else {
      octet.element[i] = x[i];
      octet.element[i + 1] = x[i + 1];
    }
  }
  return octet;
}

/// Rows of T in device memory, and whether each of their octets begins at a multiple of 16 bytes.
template <class T>
struct ElementRows {
  T* data;
  std::int64_t stride;
  bool aligned;

  /// kAligned: they are known to.
  template <bool kAligned>
  __device__ __forceinline__ Octet<std::remove_const_t<T>> load(std::int64_t row, std::int64_t octet) const {
    return Octet<std::remove_const_t<T>>::load(data + row * stride + octet * 8, kAligned || aligned);
  }
};

/// Whether all rows that begin at `data`, `stride_bytes` apart, begin at a multiple of `alignment`.
static inline bool rows_aligned(const void* data, std::int64_t rows, std::int64_t stride_bytes,
                                std::int64_t alignment) noexcept {
  const bool first = reinterpret_cast<std::uintptr_t>(data) % static_cast<std::uintptr_t>(alignment) == 0;
  return first && (rows == 1 || stride_bytes % alignment == 0);
}

template <class T>
static ElementRows<T> element_rows(T* data, std::int64_t rows, std::int64_t stride) noexcept {
  return {data, stride, rows_aligned(data, rows, stride * static_cast<std::int64_t>(sizeof(T)), 16)};
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
