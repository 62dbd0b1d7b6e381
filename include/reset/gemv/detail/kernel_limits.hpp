/// @file
/// What the kernels of the mat-vec and the choice of their cut must agree on: sizes, limits, and how weights may lie.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/nvfp4/detail/memory_region.hpp>
#include <reset/nvfp4/layout.hpp>
#include <reset/nvfp4/matrix.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Stages that a ring can have.
inline constexpr int kMaxRingStages = 16;

/// Stages of a ring that may be on their way at once, while it is filled for the first time and from then on.
struct RingFlight {
  int first_lap;
  int later;
};

/// Rows that one mma takes, and K that a step of a warp covers: four lanes share a row, each with twice 32 values.
inline constexpr int kMmaRows = 16;
inline constexpr int kUnitK = 256;
inline constexpr int kUnitBlocks = kUnitK / 16;  // block scales of a row in a unit
RESET_HOST_DEVICE constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) noexcept { return (a + b - 1) / b; }
RESET_HOST_DEVICE constexpr int least(int a, int b) noexcept { return a < b ? a : b; }
/// Units of K.
RESET_HOST_DEVICE constexpr int k_units(std::int64_t k) noexcept { return static_cast<int>(ceil_div(k, kUnitK)); }
/// Rows that one copy of kTensorRing brings: neighbours, unless they are spread (TileRows).
inline constexpr int kBoxRows = kMmaRows / 2;
/// Outputs in a row, by their numbers, that one cluster has all of. Clusters share the outputs out in such runs, not in
/// tiles: bytes of weights, which take the time, come out even, and only the last tile of a cluster is partly empty.
inline constexpr int kOutputRun = kBoxRows;
/// Runs of N rows; a gate makes one output of two.
constexpr std::int64_t output_runs(std::int64_t n, bool gated) noexcept {
  return ceil_div(gated ? n / 2 : n, kOutputRun);
}
/// Outputs of a tile.
RESET_HOST_DEVICE constexpr int tile_outputs(bool gated) noexcept { return gated ? kMmaRows / 2 : kMmaRows; }
/// Tiles of the largest share, if so many clusters share the runs.
constexpr std::int64_t share_tiles(std::int64_t runs, bool gated, std::int64_t clusters) noexcept {
  return ceil_div(ceil_div(runs, clusters) * kOutputRun, tile_outputs(gated));
}
/// Bytes of 16 rows in a unit.
inline constexpr int kUnitCodeBytes = kMmaRows * kUnitK / 2;
inline constexpr int kUnitScaleBytes = kMmaRows * kUnitBlocks;

/// Tiles of 8 tokens, as the tensor core takes them, of a kernel for up to `tokens`.
RESET_HOST_DEVICE constexpr int token_tiles(int tokens) noexcept { return tokens <= 8 ? 1 : 2; }

inline constexpr int kTensorStages = 4;  // of a warp's ring
inline constexpr int kTensorStageBytes = kUnitCodeBytes + kUnitScaleBytes;
/// Warps of a CTA of kTensor: with more its registers would not suffice.
RESET_HOST_DEVICE constexpr int tensor_max_warps(int tokens) noexcept { return tokens == 1 ? 12 : 8; }
/// Tiles whose sums the warps that share rows may have left before the first of them is added up.
inline constexpr int kMostTensorSlots = 6;
RESET_HOST_DEVICE constexpr int tensor_slots(int tokens) noexcept {
  return tokens == 1 ? 4 : tokens <= 8 ? kMostTensorSlots : 3;
}
inline constexpr int kTensorBarrierBytes = 2 * 8 * kMostTensorSlots;  // of a row group
/// Bytes of a warp's sums of a tile: of one token two floats a lane, otherwise four for each 8 tokens.
RESET_HOST_DEVICE constexpr int tensor_sums_bytes(int tokens) noexcept {
  return tokens == 1 ? 256 : token_tiles(tokens) * 512;
}
/// Bytes of a tile's total: the same, but that of one token the four lanes of a row are added up.
RESET_HOST_DEVICE constexpr int tensor_total_bytes(int tokens) noexcept {
  return tokens == 1 ? 64 : token_tiles(tokens) * 512;
}
/// Bytes in which a warp leaves its sums, and through which it loads its tokens before that.
RESET_HOST_DEVICE constexpr int tensor_warp_bytes(int tokens) noexcept {
  return tensor_slots(tokens) * tensor_sums_bytes(tokens);
}

/// How the weights of a call lie.
struct WeightAlignment {
  int codes;    ///< The largest power of two up to 16 that divides the address of every packed row.
  bool scales;  ///< Whether runs of four block scales begin at multiples of 4, and K holds whole runs.
};

/// The largest power of two, at most 16, that divides every address of rows that begin at `begin`, `stride` apart.
inline int row_alignment(const void* begin, std::int64_t stride) noexcept {
  const std::uintptr_t bits = address(begin) | static_cast<std::uintptr_t>(stride) | 16u;
  return static_cast<int>(bits & (~bits + 1));
}

/// How the weights lie for the tensor-core kernel.
inline WeightAlignment weight_alignment(const Nvfp4MatrixView& w) noexcept {
  const BlockScaleView& scale = w.block_scale;
  const std::int64_t step = scale.layout == ScaleLayout::kLinear ? scale.stride : 0;
  const auto scales = address(scale.data) | static_cast<std::uintptr_t>(scale.block_origin | step | w.blocks());
  return {row_alignment(w.packed, w.row_stride), scales % 4 == 0};
}

/// Bytes from one row to the next in a stage of kTensorRing, for `units` of K. Codes have the pitch of the box that
/// brings them, and two rows that are read at once share banks: padding them would cost more. Scales of eight rows lie
/// in different banks: the pitch is an odd multiple of 16. Odd rows (RingRows) have room for 16 bytes more.
RESET_HOST_DEVICE constexpr int tensor_code_pitch(int units, bool odd = false) noexcept {
  return units * (kUnitK / 2) + (odd ? 16 : 0);
}
RESET_HOST_DEVICE constexpr int tensor_scale_pitch(int units, bool odd = false) noexcept {
  return (odd ? (units + 1) | 1 : units | 1) * kUnitBlocks;
}
/// Bytes of a stage: a tile.
RESET_HOST_DEVICE constexpr int tensor_stage_bytes(int units, bool odd = false) noexcept {
  return kMmaRows * (tensor_code_pitch(units, odd) + tensor_scale_pitch(units, odd));
}
/// How the rows of a tile of kTensorRing come.
enum class RingRows : std::uint8_t {
  kNeighbours,  ///< In boxes of neighbours.
  kSpread,      ///< In boxes of spread rows (TileRows), with pieces of the tiles of swizzled block scales.
  kOdd,         ///< One by one, from wherever they begin (OddCopy).
};
/// Where rows are spread (TileRows), so many lie from one to the one behind it; of kTensorRing a box has so many bytes
/// of scales of each swizzled tile.
inline constexpr int kSpreadRows = 32;
inline constexpr int kSpreadScaleBytes = kBoxRows * static_cast<int>(kScaleTileBlocks);
/// A piece of a swizzled tensor's tile, the 16 bytes of scales that no copy can halve, has those of so many rows.
inline constexpr int kPieceRows = 4;
/// Where in the scales of a box a lane of a warp has those of row l / 4 and of the first half of the warp's unit of K.
/// Of spread rows it holds a piece of each tile along K: the scales of rows 0, 2, 4, 6, and then those of the others.
RESET_HOST_DEVICE constexpr std::uint32_t lane_scales(bool spread, std::uint32_t pitch, int k_warp, int lane) noexcept {
  const auto row = static_cast<std::uint32_t>(lane / 4);
  const auto block = static_cast<std::uint32_t>(k_warp * kUnitBlocks + lane % 4 * 2);
  if (!spread) return row * pitch + block;
  return block / 4 * kSpreadScaleBytes + row % 2 * 16 + row / 2 * 4 + block % 4;
}
/// How far on those of the other half are.
RESET_HOST_DEVICE constexpr int half_unit_scales(bool spread) noexcept {
  return spread ? 2 * kSpreadScaleBytes : kUnitBlocks / 2;
}
/// The most units of K of a CTA of kTensorRing: a box has at most 256 columns, of 8 bytes.
inline constexpr int kTensorRingMaxUnits = 16;

/// The most CTAs of a cluster of kTensorRing, whose totals are added up: what every device can launch.
inline constexpr int kMaxCluster = 8;

/// For how many tokens the smallest kernel of kTensor or kTensorRing is compiled that serves so many. An mma takes
/// tokens by eights: compiled for 2 or 4, a kernel is the one for 8, instruction by instruction.
constexpr int tensor_tokens(std::int64_t tokens) noexcept { return tokens == 1 ? 1 : tokens <= 8 ? 8 : 16; }
/// Warps of a CTA of kTensorRing that compute, at most; one more requests weights.
RESET_HOST_DEVICE constexpr int tensor_ring_max_warps(int tokens) noexcept {
  return tokens == 1 ? 27 : tokens <= 8 ? 23 : 15;
}
/// The most units of K that a cluster of kTensorRing's CTAs has warps and boxes for.
RESET_HOST_DEVICE constexpr int tensor_ring_max_k_units(int tokens) noexcept {
  const int warps = tensor_ring_max_warps(tokens);
  return kMaxCluster * (warps < kTensorRingMaxUnits ? warps : kTensorRingMaxUnits);
}
/// Warps of a CTA, with which the registers of two still fit a multiprocessor.
RESET_HOST_DEVICE constexpr int tensor_ring_pair_warps(int tokens) noexcept {
  return tokens == 1 ? 14 : tokens <= 8 ? 12 : 0;
}
/// Warps that request weights, beside `warps` that compute: one suffices for boxes, and up to three more share the
/// scales where these come in words, as far as a pair of CTAs or the kernel's bound leave room.
RESET_HOST_DEVICE constexpr int tensor_ring_producers(int tokens, int warps, bool words) noexcept {
  const int pair = tensor_ring_pair_warps(tokens);
  const int room = (warps <= pair - 2 ? pair : tensor_ring_max_warps(tokens) + 1) - warps;
  return !words ? 1 : room < 4 ? room : 4;
}

inline constexpr int kMultiprocessorRegisters = 65536;
/// Registers that a thread of kTensorRing is given at least, in steps of 8: tests/gemv/entry/check_resources.py looks.
/// One token's takes fewer on sm_100, where instructions differ.
constexpr int tensor_ring_registers(int arch, int tokens) noexcept {
  if (tokens == 1) return arch < 100 ? 72 : 56;
  return tokens <= 8 ? 72 : 120;
}
/// And at most: what its bound leaves.
constexpr int tensor_ring_most_registers(int tokens) noexcept {
  return kMultiprocessorRegisters / (32 * (tensor_ring_max_warps(tokens) + 1)) / 8 * 8;
}

/// What a kernel of kRing multiplies.
enum class RingOperands : std::uint8_t {
  kNvfp4,   ///< NVFP4 activations, linear block scales.
  kSpread,  ///< NVFP4 activations, swizzled block scales: rows are spread (TileRows).
  kDense,   ///< 16-bit activations, linear block scales, one chunk a thread.
};
/// The most warps that share a stage.
RESET_HOST_DEVICE constexpr int ring_max_group(int chunks) noexcept { return chunks == 3 ? 14 : 8; }
inline constexpr int kRingSumSlots = 16;
inline constexpr int kRingBarrierBytes = 2 * 8 * (kMaxRingStages + kRingSumSlots);
inline constexpr int kRingChunkK = 32;
/// The largest K of kRing.
inline constexpr std::int64_t kRingMostK = 40960;
/// The largest K of 16-bit activations: a thread has one chunk.
inline constexpr std::int64_t kRingMostDenseK = ring_max_group(1) * 32 * kRingChunkK;
/// The largest K of spread rows: two boxes, of 256 pieces along K each, bring the block scales of a tile.
inline constexpr std::int64_t kRingMostSpreadK = 2 * 256 * 64;
/// Such pieces of a box, by eights, for stages to begin at multiples of 128: the second ends where K does, and brings
/// some of the first one's again, the same bytes to the same place.
RESET_HOST_DEVICE constexpr int ring_box_pieces(std::int64_t k) noexcept {
  const auto pieces = static_cast<int>(k / 64);
  return pieces <= 256 ? pieces : (pieces / 2 + 7) / 8 * 8;
}

constexpr int ring_rows(int chunks) noexcept { return chunks == 1 ? 4 : 2; }

/// Bounds of the kernel's registers: as many threads as a CTA may have, and the CTAs whose registers must fit beside
/// each other, of one launch or of two.
constexpr int ring_max_threads(int chunks, bool dense) noexcept { return dense || chunks == 3 ? 512 : 576; }
inline constexpr int kRingMinCtas = 2;

/// Where rows are spread, a copy of block scales brings those of four: for a tile of two twice what it needs, half of
/// which the cache has by then.
constexpr std::int64_t ring_stage_bytes(int chunks, RingOperands operands, std::int64_t k) noexcept {
  const int rows = ring_rows(chunks);
  return rows * (k / 2) + (operands == RingOperands::kSpread ? kPieceRows : rows) * (k / 16);
}

/// Bytes of shared memory that a 16-bit token takes: two for each element, and a float for each 16.
constexpr std::int64_t ring_token_bytes(bool dense, std::int64_t k) noexcept { return dense ? k * 2 + k / 4 : 0; }

/// Bytes of a ring's shared memory beside its stages and a 16-bit token: barriers, and the sums of the warps of a group
/// for some tiles.
constexpr std::int64_t ring_fixed_bytes(int chunks, int warps_per_group) noexcept {
  return kRingBarrierBytes + 4 * kRingSumSlots * ring_rows(chunks) * warps_per_group;
}

}  // namespace detail
RESET_NAMESPACE_END
