/// @file
/// Which weights a lane asks for and which it multiplies: what the kernels do, and what a test on the host counts.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/tile_rows.hpp>
#include <reset/gemv/detail/work_shares.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// A lane of kTensorRing has of a tile the rows in slots l / 4 and l / 4 + 8, of a unit of K the 16 bytes of codes from
/// this one of the row on, and the 16 that are half a unit behind them.
RESET_HOST_DEVICE constexpr int lane_codes(int unit, int lane) noexcept { return unit * (kUnitK / 2) + lane % 4 * 16; }

/// The tile that is a group's in its turn, of groups that take turns at the tiles.
RESET_HOST_DEVICE constexpr int group_tile(int group, int groups, int turn) noexcept { return group + turn * groups; }

/// The tiles of a group as a warp of kTensor streams them, by their first outputs.
struct StreamedTiles {
  int output;  // the first of the present tile
  int end;     // of the CTA's
  int step;    // from one to the next

  /// No tile at all unless `active`.
  RESET_HOST_DEVICE constexpr StreamedTiles(const TileRows<kMmaRows>& rows, int group, int groups, bool active) noexcept
      : output(rows.first + group * rows.outputs()), end(active ? rows.end : 0), step(groups * rows.outputs()) {}

  RESET_HOST_DEVICE constexpr bool more() const noexcept { return output < end; }
  RESET_HOST_DEVICE constexpr void next() noexcept { output += step; }
  /// Tile 0 of these is the present one.
  RESET_HOST_DEVICE constexpr TileRows<kMmaRows> rows(std::int64_t n, bool gated) const noexcept {
    return {n, gated, output, end};
  }
};

/// Runs of four block scales that a slice of K has of a row. Lanes of the producing warps of kTensorRing copy them, a
/// lane those of the row in slot l % 16: its first one, and from there every one that is twice the warps further.
RESET_HOST_DEVICE constexpr int slice_runs(Share units, std::int64_t k) noexcept {
  return least(units.count * (kUnitBlocks / 4), static_cast<int>(k / 64) - units.first * 4);
}
RESET_HOST_DEVICE constexpr int first_run(int warp, int lane) noexcept { return warp * 2 + lane / kMmaRows; }

/// What of a row that comes on its own a slice of K has: so many bytes from one on, of codes or of scales, where a unit
/// has `unit_bytes` of them and the row `row_bytes`.
struct RowSlice {
  int offset;
  int bytes;

  RESET_HOST_DEVICE constexpr RowSlice(Share units, int unit_bytes, int row_bytes) noexcept
      : offset(units.first * unit_bytes), bytes(least(units.count * unit_bytes, row_bytes - offset)) {}
};

/// On their way to fragments: where shared memory has the c-th of a token's 16 pieces of 16 bytes. The eight lanes that
/// it serves at once, of two tokens and of every fourth piece, find eight different banks. Two tokens on it is 32 more;
/// of four pieces in a row the w-th is where the first is but for the bits of w.
RESET_HOST_DEVICE constexpr int piece_place(int token, int c) noexcept {
  return token * 16 + (c ^ c / 8 ^ token % 2 * 2);
}

/// Where in the scales of a tile of kRing with spread rows a chunk's two are, those of slot 0: those of the next slot
/// are 4 bytes further. Of two rows a tile, even tiles have the first half of each piece, odd ones the other.
RESET_HOST_DEVICE constexpr int ring_box_scales(int rows, int tile, int chunk) noexcept {
  return chunk / 2 * 16 + (rows == kPieceRows ? 0 : tile % 2 * 8) + chunk % 2 * 2;
}

/// The c-th chunk of 32 along K of a thread of kRing, of a group of `threads`; K may end before it.
RESET_HOST_DEVICE constexpr int ring_chunk(int thread, int threads, int c) noexcept { return thread + c * threads; }

}  // namespace detail
RESET_NAMESPACE_END
