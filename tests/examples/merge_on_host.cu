#include "merge_on_host.hpp"

#include "attention_parts.cuh"

void merge_on_host(const float* values, const float2* sums, const MergeShape& shape, std::int64_t row,
                   std::int64_t octet, float (&result)[8]) {
  const engine::cuda::Merge merge{{values, sums, shape.heads, shape.head_dim, shape.splits}};
  merge.load(row, octet, result);
}
