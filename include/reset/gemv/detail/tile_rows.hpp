/// @file
/// Which rows of the weights a tile holds, with and without a gate.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/problem.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Tiles of `kRows` rows over a run of outputs: all of them, unless told otherwise. Without a gate an output is a row
/// and those of a tile are neighbours; with a gate the first half of a tile are neighbours from the first half of the
/// weights, and the second half are the rows they pair with.
///
/// `spread` outputs are neighbours by where a swizzled scale tensor has their scales: with kRows 4 they are a row and
/// those 32, 64 and 96 behind it, whose scales fill 16 bytes of each of the tensor's tiles; with 2, even tiles have the
/// first two of these and odd ones the others; with 16 rows the next eight are two rows and those behind them, and 32
/// bytes. N, or with a gate N / 2, is then a multiple of 128.
template <int kRows>
struct TileRows {
  std::int64_t rows;  // N
  bool gated;
  int first = 0;  // output, and the one after the last
  int end = static_cast<int>(gated ? rows / 2 : rows);
  bool spread = false;

  /// Outputs of a tile.
  RESET_HOST_DEVICE constexpr int outputs() const noexcept { return gated ? kHalf : kRows; }

  /// One division by each constant: by a divisor that is not, it would be a hundred instructions in a kernel's start.
  RESET_HOST_DEVICE constexpr int tiles() const noexcept {
    return gated ? (end - first - 1) / kHalf + 1 : (end - first - 1) / kRows + 1;
  }

  /// Row of the weights in slot `slot` of tile `tile`; one that another run or no run has where `holds` says no.
  RESET_HOST_DEVICE constexpr std::int64_t row(std::int64_t tile, int slot) const noexcept {
    return row_of(output(tile, slot)) + pair(slot);
  }

  /// Whether the slot counts: the last tile may be partly empty.
  RESET_HOST_DEVICE constexpr bool holds(std::int64_t tile, int slot) const noexcept {
    return output(tile, slot) < end;
  }

  /// `row`, or where the slot does not count the row of the last one that does: always memory that may be read, and
  /// that is read anyway.
  RESET_HOST_DEVICE constexpr std::int64_t readable_row(std::int64_t tile, int slot) const noexcept {
    return row_of(holds(tile, slot) ? output(tile, slot) : std::int64_t{end} - 1) + pair(slot);
  }

 private:
  static constexpr int kHalf = kRows / 2 > 0 ? kRows / 2 : 1;

  RESET_HOST_DEVICE constexpr std::int64_t output(std::int64_t tile, int slot) const noexcept {
    return first + tile * outputs() + (gated ? slot % kHalf : slot);
  }
  RESET_HOST_DEVICE constexpr std::int64_t row_of(std::int64_t output) const noexcept {
    if (!spread) return output;
    constexpr unsigned kNear = kRows < 16 ? 1 : 2;
    const auto place = static_cast<unsigned>(output & 127);
    const unsigned row = place / kNear % 4 * 32 + place / (4 * kNear) * kNear + place % kNear;
    return (output & ~std::int64_t{127}) | row;
  }
  RESET_HOST_DEVICE constexpr std::int64_t pair(int slot) const noexcept {
    return gated ? slot / kHalf * (rows / 2) : 0;
  }
};

}  // namespace detail
RESET_NAMESPACE_END
