/// @file
/// How bytes that begin anywhere are copied by 16: with whatever else the pieces of 16 hold that they touch.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/kernel_limits.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

inline constexpr std::uint32_t kPieceBytes = 16;  ///< Both sides of a bulk copy are multiples of it.

/// Bytes from the last multiple of 16 to an address.
RESET_HOST_DEVICE constexpr std::uint32_t odd_bytes(std::uint64_t address) noexcept {
  return static_cast<std::uint32_t>(address % kPieceBytes);
}

/// The way of some bytes of memory to a place in shared memory that is a multiple of 16: pieces of 16 go as they lie,
/// and the first byte comes as far behind the place as it lies behind a multiple of 16. Pieces that reach beyond the
/// memory that may be read stay behind, and what they hold of the bytes comes byte by byte.
struct OddCopy {
  std::uint64_t begin;  ///< The bytes' addresses: begin .. end - 1.
  std::uint64_t end;
  std::uint64_t pieces;       ///< Where the pieces begin; `end` if there are none.
  std::uint32_t piece_bytes;  ///< What they have together.

  /// Bytes begin .. end - 1, some, of first .. last - 1, which may be read.
  RESET_HOST_DEVICE constexpr OddCopy(std::uint64_t begin_, std::uint64_t end_, std::uint64_t first,
                                      std::uint64_t last) noexcept
      : begin(begin_), end(end_), pieces(begin_ - odd_bytes(begin_)), piece_bytes(0) {
    std::uint64_t pieces_end = end + (kPieceBytes - 1) - odd_bytes(end + (kPieceBytes - 1));
    if (pieces < first) pieces += kPieceBytes;
    if (pieces_end > last) pieces_end -= kPieceBytes;
    if (pieces < pieces_end) {
      piece_bytes = static_cast<std::uint32_t>(pieces_end - pieces);
    } else {
      pieces = end;
    }
  }

  /// How far behind the place what lies at an address goes.
  RESET_HOST_DEVICE constexpr std::uint32_t place(std::uint64_t address) const noexcept {
    return static_cast<std::uint32_t>(address - (begin - odd_bytes(begin)));
  }
};

// Where a lane of kTensorRing's OddWeights has the bytes by which its first row's scales or codes begin behind a
// multiple of 16, and four bits further those of its second row; and where, eight bits apart, it has which of its two
// blocks of the first half of a unit are not beyond K, and one bit further those of the other half.
inline constexpr int kOddScales = 0;
inline constexpr int kOddCodes = 8;
inline constexpr int kOddOfK = 16;

/// What of these changes (exclusive or) from a tile to the one `groups` further: linear scales begin 8 bytes further
/// behind a multiple of 16, or as far as before, for rows are 8 or 16 apart; codes as far, for rows are multiples
/// of 8 bytes apart.
constexpr std::uint32_t odd_step(bool gated, int groups, std::int64_t scale_stride) noexcept {
  const std::uint32_t step = odd_bytes(static_cast<std::uint64_t>(groups * tile_outputs(gated) * scale_stride));
  return step << kOddScales | step << (kOddScales + 4);
}

}  // namespace detail
RESET_NAMESPACE_END
