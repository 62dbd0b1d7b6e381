// What a thread of the device does to merge parts of attention, on the host.
#pragma once

#include <vector_types.h>

#include <cstdint>

struct MergeShape {
  int heads;
  int head_dim;
  int splits;
};

// Eight values of a row, from column 8 * octet on. `values` [row][head][split][head_dim], `sums` [row][head][split].
void merge_on_host(const float* values, const float2* sums, const MergeShape& shape, std::int64_t row,
                   std::int64_t octet, float (&result)[8]);
