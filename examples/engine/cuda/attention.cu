// Decode attention split over the context (flash decoding). The query heads that share a key-value head are the rows of
// one mma tile, so every key and value is read once; each warp keeps its own maximum and sum over the tokens it sees.
#include "attention.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>

#include <reset/status.hpp>

#include "attention_warps.cuh"
#include "head_vector.cuh"
#include "launch.cuh"
#include "mma.cuh"

namespace engine::cuda {
namespace {

// Two tiles are on their way while one is worked on, where there is room; two stages fit wherever there are tensor
// cores for bfloat16.
constexpr int kManyStages = 3;
constexpr int kFewStages = 2;
constexpr int kLeastTiles = 2;  // of a share: for less it would not pay to add the parts

template <int D, int kStages, int kGroup>
struct Shared {
  __nv_bfloat16 keys[kStages][kTileTokens][kRow<D>];
  __nv_bfloat16 values[kStages][kTileTokens][kRow<D>];
  __nv_bfloat16 query[kGroup][kRow<D>];
  __nv_bfloat16 fresh[2][D];  // key and value of the row's own token
};

// One CTA's share: the tokens [begin, end) of a row's past, its own token included.
struct Share {
  int position;
  int begin;
  int end;
  bool has_own;  // whether the row's own token is the last of the share, and not in the cache yet

  __device__ Share(const AttentionCall& call, int row, int split) {
    // Not from the first-level cache, which may hold an older step's: attention reads it before it waits.
    position = call.positions != nullptr ? __ldcg(call.positions + row) : call.first_position + row;
    const int total = position + 1;
    const int tiles = (total + kTileTokens - 1) / kTileTokens;
    const int share = max((tiles + call.shape.splits - 1) / call.shape.splits, kLeastTiles) * kTileTokens;
    begin = min(split * share, total);
    end = min(begin + share, total);
    has_own = call.positions != nullptr && begin < end && end == total;
  }
};

template <int D>
__device__ std::int64_t cache_row(const AttentionCall& call, int slot, int kv_head, int position) {
  return ((static_cast<std::int64_t>(slot) * call.shape.kv_heads + kv_head) * call.cache.capacity + position) * D;
}

__device__ int slot_of(const AttentionCall& call, int row) {
  return call.first_slot + (call.positions != nullptr ? row : 0);
}

// Requests tile `tile` of the share; tokens that are not in the cache become zeros, which add nothing.
template <int D, int kStages, int kGroup>
__device__ void request_tile(Shared<D, kStages, kGroup>& shared, const AttentionCall& call, const Share& share,
                             std::int64_t base, int tile) {
  constexpr int kPieces = D / 8;  // of 16 bytes a row
  const int first = share.begin + tile * kTileTokens;
  const int cached = share.has_own ? share.end - 1 : share.end;
  for (int i = threadIdx.x; i < kTileTokens * kPieces; i += kThreads) {
    const int token = i / kPieces;
    const int column = i % kPieces * 8;
    if (share.has_own && first + token == cached) continue;  // is not in the cache yet: see attend_kernel
    const bool present = first + token < cached;
    const std::int64_t from = base + (present ? static_cast<std::int64_t>(first + token) * D + column : 0);
    copy_async(&shared.keys[tile % kStages][token][column], call.cache.keys + from, present);
    copy_async(&shared.values[tile % kStages][token][column], call.cache.values + from, present);
  }
}

// A warp makes the key, another the value of the row's own token, for the cache and for this call.
template <int D>
struct OwnToken {
  HeadVector<D> x;

  // Of the first two warps.
  __device__ OwnToken(const AttentionCall& call, int row, int kv_head) {
    const int warp = threadIdx.x / 32;
    const AttentionShape& shape = call.shape;
    if (warp > 1) return;
    x = HeadVector<D>(call.qkv, row, shape.heads + warp * shape.kv_heads + kv_head, shape, call.norms.bias);
  }

  __device__ void store(const AttentionCall& call, int row, int kv_head, int position, const HeadFactors<D>& weight,
                        const HeadTurn<D>& turn, __nv_bfloat16* fresh) {
    const int warp = threadIdx.x / 32;
    if (warp > 1) return;
    if (warp == 0) {
      x.normalize(weight, call.norms.epsilon);
      x.rotate(turn);
    }
    __nv_bfloat16* cache = warp == 0 ? call.cache.keys : call.cache.values;
    x.store(cache + cache_row<D>(call, slot_of(call, row), kv_head, position));
    if (fresh != nullptr) x.store(fresh + warp * D);
  }
};

// The query heads that a warp prepares, all asked for at once; zeros where there is none.
template <int D, int kGroup>
struct Queries {
  static constexpr int kCount = kGroup / kWarps;
  HeadVector<D> x[kCount];
  int group;

  __device__ Queries(const AttentionCall& call, int row, int kv_head) : group(call.shape.heads / call.shape.kv_heads) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (head(i) < group) {
        x[i] = HeadVector<D>(call.qkv, row, kv_head * group + head(i), call.shape, call.norms.bias);
      }
    }
  }

  __device__ void store(const AttentionCall& call, const HeadFactors<D>& weight, const HeadTurn<D>& turn,
                        __nv_bfloat16 (*out)[kRow<D>]) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (head(i) < group) {
        x[i].normalize(weight, call.norms.epsilon);
        x[i].rotate(turn);
      }
      x[i].store(out[head(i)]);
    }
  }

 private:
  static __device__ int head(int i) { return static_cast<int>(threadIdx.x) / 32 + i * kWarps; }
};

template <int D, int kStages, int kGroup>
__global__ __launch_bounds__(kThreads) void attend_kernel(AttentionCall call) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto& shared = *reinterpret_cast<Shared<D, kStages, kGroup>*>(memory);
  const int kv_head = blockIdx.x;
  const int row = blockIdx.y;
  const int split = blockIdx.z;
  // Everything that does not wait for something else is asked for at once, most of it before the kernel ahead has
  // ended.
  const HeadFactors<D> query_weight(call.norms.query);
  const HeadFactors<D> key_weight(call.norms.key);
  release_dependents();
  // A prompt's keys and values were stored by the kernel ahead. Of a step only the new ones are: its positions, and
  // what earlier steps have cached, are older than its first dependent launch.
  const bool prompt = call.positions == nullptr;
  if (prompt) wait_for_dependencies();
  const Share share(call, row, split);
  const bool empty = share.position < 0 || share.begin >= share.end;
  const std::int64_t base = cache_row<D>(call, slot_of(call, row), kv_head, 0);
  const int tiles = empty ? 0 : (share.end - share.begin + kTileTokens - 1) / kTileTokens;
  const HeadTurn<D> turn(call.norms.rotations, max(share.position, 0));
  for (int tile = 0; tile < kStages - 1; ++tile) {
    if (tile < tiles) request_tile(shared, call, share, base, tile);
    commit_copies();
  }
  if (!prompt) wait_for_dependencies();
  if (empty) {
    write_empty_part(call, row, kv_head, split);
    return;
  }
  Queries<D, kGroup> queries(call, row, kv_head);
  OwnToken<D> own(call, row, kv_head);
  queries.store(call, query_weight, turn, shared.query);
  if (share.has_own) own.store(call, row, kv_head, share.position, key_weight, turn, shared.fresh[0]);
  __syncthreads();

  const float scale = 1.44269504f * rsqrtf(static_cast<float>(D));  // scores become powers of two
  const int warp = threadIdx.x / 32;
  Running<D, kGroup> running;
  for (int tile = 0; tile < tiles; ++tile) {
    wait_copies<kStages - 2>();
    const int stage = tile % kStages;
    if (share.has_own && tile == tiles - 1 && threadIdx.x < D) {
      const int token = (share.end - 1 - share.begin) % kTileTokens;
      shared.keys[stage][token][threadIdx.x] = shared.fresh[0][threadIdx.x];
      shared.values[stage][token][threadIdx.x] = shared.fresh[1][threadIdx.x];
    }
    __syncthreads();
    if (tile + kStages - 1 < tiles) request_tile(shared, call, share, base, tile + kStages - 1);
    commit_copies();
    const int present = share.end - share.begin - tile * kTileTokens - warp * 16;
    if (present <= 0) continue;
    float score[2][4] = {};
    std::uint32_t weights[4];
    scores<D, kGroup>(shared.query, shared.keys[stage] + warp * 16, score);
    weigh(running, score, scale, present, weights);
    add_values(running, weights, shared.values[stage] + warp * 16);
  }
  wait_copies<0>();
  __syncthreads();
  write_part(running, call, row, kv_head, split, reinterpret_cast<float(*)[kGroup][D]>(memory));
}

template <int D>
__global__ __launch_bounds__(64) void store_prompt_kernel(AttentionCall call) {
  begin_dependent();
  const int row = blockIdx.y;
  const int kv_head = blockIdx.x;
  const int position = call.first_position + row;
  OwnToken<D>(call, row, kv_head)
      .store(call, row, kv_head, position, HeadFactors<D>(call.norms.key), HeadTurn<D>(call.norms.rotations, position),
             nullptr);
}

template <int D, int kStages, int kGroup>
void attend_with(const AttentionCall& call, const Stream& stream) {
  using Room = Shared<D, kStages, kGroup>;
  static_assert(sizeof(Room) >= sizeof(float) * kWarps * kGroup * D, "the parts of the warps find room");
  const dim3 grid(call.shape.kv_heads, call.rows, call.shape.splits);
  const bool early = call.positions != nullptr && stream.dependent;
  launch(attend_kernel<D, kStages, kGroup>, grid, dim3(kThreads),
         early ? static_cast<std::size_t>(call.shape.shared_bytes) : sizeof(Room), stream, call);
}

template <int D, int kGroup>
void attend_with(const AttentionCall& call, const Stream& stream) {
  call.shape.stages == kManyStages ? attend_with<D, kManyStages, kGroup>(call, stream)
                                   : attend_with<D, kFewStages, kGroup>(call, stream);
}

template <int D>
void store_with(const AttentionCall& call, const Stream& stream) {
  launch(store_prompt_kernel<D>, dim3(call.shape.kv_heads, call.rows), dim3(64), 0, stream, call);
}

// No second CTA of a step is to fit on a multiprocessor: they start while the kernel ahead is ending, and would
// otherwise crowd where it has ended first.
template <int D, int kStages, int kGroup>
bool prepare_with(int shared_bytes, AttentionShape& shape) {
  constexpr int kBytes = sizeof(Shared<D, kStages, kGroup>);
  if (kBytes > shared_bytes) return false;
  shape.stages = kStages;
  shape.shared_bytes = std::max(kBytes, shared_bytes / 2 + 1024);
  check(cudaFuncSetAttribute(attend_kernel<D, kStages, kGroup>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             shape.shared_bytes),
        "cudaFuncSetAttribute");
  return true;
}

template <int D, int kGroup>
void prepare_with(int shared_bytes, AttentionShape& shape) {
  if (prepare_with<D, kManyStages, kGroup>(shared_bytes, shape)) return;
  if (prepare_with<D, kFewStages, kGroup>(shared_bytes, shape)) return;
  throw reset::Error("shared memory of a CTA: " + std::to_string(shared_bytes) + " bytes, expected at least " +
                     std::to_string(sizeof(Shared<D, kFewStages, kGroup>)) + " for attention");
}

// Calls `function` with the size of a head, one that attention_supports() allows, as a constant.
template <class Function>
auto with_head_dim(int head_dim, Function function) {
  switch (head_dim) {
    case 16:
      return function(std::integral_constant<int, 16>());
    case 32:
      return function(std::integral_constant<int, 32>());
    case 64:
      return function(std::integral_constant<int, 64>());
    default:
      return function(std::integral_constant<int, 128>());
  }
}

// The same with the room for query heads of a key-value head, half an mma tile or a whole one, besides.
template <class Function>
void with_sizes(const AttentionShape& shape, Function function) {
  with_head_dim(shape.head_dim, [&](auto dim) {
    if (shape.heads / shape.kv_heads <= kMostGroup / 2) {
      function(dim, std::integral_constant<int, kMostGroup / 2>());
    } else {
      function(dim, std::integral_constant<int, kMostGroup>());
    }
  });
}

}  // namespace

bool attention_supports(const AttentionShape& shape) {
  const bool size = shape.head_dim == 16 || shape.head_dim == 32 || shape.head_dim == 64 || shape.head_dim == 128;
  return size && shape.heads % shape.kv_heads == 0 && shape.heads / shape.kv_heads <= kMostGroup;
}

void prepare_attention(AttentionShape& shape) {
  int device = 0;
  int shared_bytes = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
        "cudaDeviceGetAttribute");
  with_sizes(shape, [&](auto dim, auto group) { prepare_with<dim, group>(shared_bytes, shape); });
}

void store_prompt(const AttentionCall& call, const Stream& stream) {
  with_head_dim(call.shape.head_dim, [&](auto dim) { store_with<dim>(call, stream); });
}

void attend(const AttentionCall& call, const Stream& stream) {
  with_sizes(call.shape, [&](auto dim, auto group) { attend_with<dim, group>(call, stream); });
}

}  // namespace engine::cuda
