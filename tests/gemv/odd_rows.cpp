// How bytes that begin anywhere come to shared memory, and where a lane then looks for them.
#include <cstdint>
#include <vector>

#include "support/catch.hpp"

#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/odd_rows.hpp>

using reset::detail::OddCopy;

namespace {

std::uint8_t byte_at(std::uint64_t address) { return static_cast<std::uint8_t>(address * 7 + 1); }

// Carries a copy out, and says whether all bytes have come to their places, and none from outside first .. last - 1.
bool carried_out(const OddCopy& copy, std::uint64_t first, std::uint64_t last) {
  std::vector<std::uint8_t> shared(static_cast<std::size_t>(copy.end - copy.begin) + 30, 0xee);
  bool good = copy.piece_bytes % 16 == 0;
  if (copy.piece_bytes > 0) good = good && copy.pieces % 16 == 0 && copy.place(copy.pieces) % 16 == 0;
  const auto put = [&](std::uint64_t address) {
    good = good && address >= first && address < last && copy.place(address) < shared.size();
    if (good) shared[copy.place(address)] = byte_at(address);
  };
  for (std::uint64_t address = copy.begin; address < copy.pieces; ++address) put(address);
  for (std::uint32_t i = 0; i < copy.piece_bytes; ++i) put(copy.pieces + i);
  for (std::uint64_t address = copy.pieces + copy.piece_bytes; address < copy.end; ++address) put(address);
  for (std::uint64_t address = copy.begin; address < copy.end; ++address) {
    good = good && shared[copy.begin % 16 + (address - copy.begin)] == byte_at(address);
  }
  return good;
}

}  // namespace

TEST_CASE("an odd copy brings every byte to its place, by pieces where it may") {
  for (std::uint64_t first = 64; first < 80; ++first) {
    for (std::uint64_t begin = first; begin < first + 40; begin += begin < first + 4 ? 1 : 5) {
      for (std::uint64_t end = begin + 1; end < begin + 80; ++end) {
        for (std::uint64_t last = end; last < end + 33; last += last < end + 16 ? 1 : 16) {
          const OddCopy copy(begin, end, first, last);
          INFO(begin << " .. " << end << " of " << first << " .. " << last);
          REQUIRE(carried_out(copy, first, last));
          // In the middle of what may be read nothing comes byte by byte.
          if (begin >= first + 15 && last >= end + 15) REQUIRE(copy.pieces <= begin);
          if (begin >= first + 15 && last >= end + 15) REQUIRE(copy.pieces + copy.piece_bytes >= end);
        }
      }
    }
  }
}

TEST_CASE("what a copy of a row brings fits the room of its row in a stage") {
  for (int units = 1; units <= reset::detail::kTensorRingMaxUnits; ++units) {
    for (std::uint64_t odd = 0; odd < 16; ++odd) {
      const auto room = [&](int bytes) {
        const std::uint64_t end = 1024 + odd + static_cast<std::uint64_t>(bytes);
        const OddCopy copy(1024 + odd, end, 0, 1 << 20);
        return static_cast<int>(copy.place(copy.pieces) + copy.piece_bytes);
      };
      REQUIRE(room(units * 128) <= reset::detail::tensor_code_pitch(units, true));
      REQUIRE(room(units * 16) <= reset::detail::tensor_scale_pitch(units, true));
    }
    REQUIRE(reset::detail::tensor_code_pitch(units, true) % 16 == 0);
    REQUIRE(reset::detail::tensor_scale_pitch(units, true) % 16 == 0);
    REQUIRE(reset::detail::tensor_stage_bytes(units, true) % 16 == 0);
  }
}

TEST_CASE("a lane knows how odd its scales are in every tile of its group") {
  for (const bool gated : {false, true}) {
    const int outputs = reset::detail::tile_outputs(gated);
    for (int groups = 1; groups <= 4; ++groups) {
      for (const std::int64_t stride : {1, 2, 3, 5, 8, 17, 116, 256, 257, 1023}) {
        const std::uint32_t step = reset::detail::odd_step(gated, groups, stride);
        for (std::uint64_t begin = 100; begin < 116; ++begin) {
          std::uint32_t odd = reset::detail::odd_bytes(begin) << reset::detail::kOddScales;
          for (int turn = 0; turn < 6; ++turn) {
            const auto row = static_cast<std::uint64_t>(turn * groups * outputs * stride);
            REQUIRE((odd >> reset::detail::kOddScales & 15) == (begin + row) % 16);
            odd ^= step;
          }
          REQUIRE(step >> 8 == 0);  // nothing else changes
          REQUIRE((step >> 4 & 15) == (step & 15));
        }
      }
    }
  }
}
