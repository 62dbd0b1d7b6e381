/// @file
/// Which rows of the weights a tile holds, with and without a gate.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/problem.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Tiles of `kRows` rows. Without a gate they are neighbours; with a gate the first half of a tile are neighbours from
/// the first half of the weights, and the second half are the rows they pair with.
template <int kRows>
struct TileRows {
  std::int64_t rows;  // N
  bool gated;

  RESET_HOST_DEVICE constexpr std::int64_t tiles() const noexcept { return (rows + kRows - 1) / kRows; }

  /// Row of the weights in slot `slot` of tile `tile`; N or more, or with a gate a row that another tile has too, where
  /// `holds` says no.
  RESET_HOST_DEVICE constexpr std::int64_t row(std::int64_t tile, int slot) const noexcept {
    if (!gated) return tile * kRows + slot;
    constexpr int kHalf = kRows / 2 > 0 ? kRows / 2 : 1;
    return tile * kHalf + slot % kHalf + slot / kHalf * (rows / 2);
  }

  /// Whether the slot counts: the last tile may be partly empty.
  RESET_HOST_DEVICE constexpr bool holds(std::int64_t tile, int slot) const noexcept {
    if (!gated) return tile * kRows + slot < rows;
    constexpr int kHalf = kRows / 2 > 0 ? kRows / 2 : 1;
    return tile * kHalf + slot % kHalf < rows / 2;
  }

  /// `row`, or the last row of the weights where the slot does not count: always memory that may be read.
  RESET_HOST_DEVICE constexpr std::int64_t readable_row(std::int64_t tile, int slot) const noexcept {
    const std::int64_t wanted = row(tile, slot);
    return wanted < rows ? wanted : rows - 1;
  }
};

}  // namespace detail
RESET_NAMESPACE_END
