// Attention of a few rows over their cached past, with all that belongs to it: bias, QK norm, rotary position, the new
// entries of the cache.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include <reset/nvfp4/matrix.hpp>

#include "stream.hpp"

namespace engine::cuda {

// Keys and values of one layer, bfloat16 [slot][kv head][position][head_dim].
struct LayerCache {
  __nv_bfloat16* keys = nullptr;
  __nv_bfloat16* values = nullptr;
  std::int64_t capacity = 0;  // positions of a slot
};

// What a head's vector goes through before it is compared. Null: not done (Qwen3 has no bias, Qwen2 no norms).
struct HeadNorms {
  const __nv_bfloat16* bias = nullptr;   // [heads + 2 kv_heads][head_dim]
  const __nv_bfloat16* query = nullptr;  // [head_dim]
  const __nv_bfloat16* key = nullptr;    // [head_dim]
  float epsilon = 0;
  const float2* rotations = nullptr;  // [position][head_dim / 2]: cosine and sine
};

// Most CTAs that share the past of one row and key-value head.
constexpr int kMaxSplits = 16;

struct AttentionShape {
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;  // 16, 32, 64 or 128
  int splits = 1;    // 1..kMaxSplits
  // What prepare_attention() finds: stages of the ring in shared memory, and how much of that a CTA takes.
  int stages = 0;
  int shared_bytes = 0;
};

struct AttentionCall {
  AttentionShape shape;
  HeadNorms norms;
  LayerCache cache;
  const __nv_bfloat16* qkv = nullptr;  // [row][heads + 2 kv_heads][head_dim]
  // Row i is of slot first_slot + i and stands at positions[i] (a decode step), or, without positions, all rows are of
  // slot first_slot and row i stands at first_position + i (a prompt). A row at a negative position gives zeros.
  const std::int32_t* positions = nullptr;
  int first_slot = 0;
  int first_position = 0;
  int rows = 0;
  // Scratch for rows * heads * splits parts: [row][head][split][head_dim], and the maximum and the sum of each. A sum
  // of 0 means that the part was not written.
  float* parts = nullptr;
  float2* part_sums = nullptr;
  // Where not null and a row has one split: [row][heads * head_dim], which attend() then writes instead of the parts,
  // to the bit what merge() would make of them.
  __nv_bfloat16* out = nullptr;
};

// The heads, head sizes and groups that the kernel has been written for.
bool attention_supports(const AttentionShape& shape);

// Readies the kernel for a shape on the current device, and completes the shape.
void prepare_attention(AttentionShape& shape);

// Stores keys and values of a prompt's rows, which attend() then finds in the cache. A decode step's are stored by
// attend() itself.
void store_prompt(const AttentionCall& call, const Stream& stream);

// Leaves parts and part_sums, of which merge() makes the result, or the result itself (`out`). Reads positions, and
// what a step finds in the cache, before the kernel ahead has ended: they must have been written before a launch in
// between that was no dependent one.
void attend(const AttentionCall& call, const Stream& stream);

// [row][heads * head_dim], in bfloat16, or in NVFP4 with the global scale of `out`.
void merge(const AttentionCall& call, __nv_bfloat16* out, const Stream& stream);
void merge_quantize(const AttentionCall& call, const reset::Nvfp4MutableMatrixView& out, const Stream& stream);

}  // namespace engine::cuda
