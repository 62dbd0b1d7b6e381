/// @file
/// The tensor core's product of 16 rows of weights and 8 tokens over 16 of K, in half with sums in float.
#pragma once

#include <cstdint>

#include <reset/config.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Sums of a 16 x 8 tile. Lane l holds those of rows l / 4 (0, 1) and l / 4 + 8 (2, 3) for tokens l % 4 * 2 (0, 2) and
/// l % 4 * 2 + 1 (1, 3).
struct MmaSums {
  float value[4];
};

/// Adds a product. A lane brings of rows l / 4 and l / 4 + 8 the pairs `low[0]` and `high[0]`, then `low[1]` and
/// `high[1]`, and of token l / 4 the pairs x0 and x1 of the same four of K; which four is free, if rows and tokens
/// agree.
__device__ __forceinline__ void mma_add(MmaSums& sums, const std::uint32_t* low, const std::uint32_t* high,
                                        std::uint32_t x0, std::uint32_t x1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sums.value[0]), "+f"(sums.value[1]), "+f"(sums.value[2]), "+f"(sums.value[3])
      : "r"(low[0]), "r"(high[0]), "r"(low[1]), "r"(high[1]), "r"(x0), "r"(x1));
}

}  // namespace detail
RESET_NAMESPACE_END
