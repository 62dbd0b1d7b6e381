// What the lanes of a launch ask for and multiply: every weight once, by the functions that the kernels call.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "gemv/device_fixture.hpp"
#include "gemv/problem_fixture.hpp"
#include "support/catch.hpp"

#include <reset/gemv/detail/lane_places.hpp>
#include <reset/gemv/policy.hpp>

using reset::ActivationType;
using reset::GemvPolicy;
using reset::detail::Cut;
using reset::detail::kUnitBlocks;
using reset::detail::kUnitK;
using reset::detail::Share;
using reset::detail::TileRows;

namespace {

constexpr int kMmaRows = reset::detail::kMmaRows;

bool once(const std::vector<int>& visits) {
  return std::all_of(visits.begin(), visits.end(), [](int count) { return count == 1; });
}

// Of a launch of kRing the chunks of 32 weights, each row's of each tile.
template <int kRows>
void walk_ring(std::int64_t n, std::int64_t k, bool gated, const GemvPolicy& policy, int ctas) {
  const TileRows<kRows> rows{n, gated};
  const auto chunks = static_cast<int>(k / 32);
  std::vector<int> visits(static_cast<std::size_t>(n * chunks));
  const Cut tiles = reset::detail::cut(rows.tiles(), ctas);
  const int threads = policy.warps_per_group * 32;
  for (int cta = 0; cta < ctas; ++cta) {
    const Share share = tiles.share(cta);
    for (int group = 0; group < policy.groups; ++group) {
      for (int i = group; i < share.count; i += policy.groups) {
        for (int thread = 0; thread < threads; ++thread) {
          for (int c = 0; c < policy.chunks; ++c) {
            const int chunk = reset::detail::ring_chunk(thread, threads, c);
            if (chunk >= chunks) continue;  // multiplied with zeros
            for (int slot = 0; slot < kRows; ++slot) {
              if (!rows.holds(share.first + i, slot)) continue;
              ++visits[static_cast<std::size_t>(rows.row(share.first + i, slot) * chunks + chunk)];
            }
          }
        }
      }
    }
  }
  INFO("n " << n << " k " << k << " chunks " << policy.chunks << " warps " << policy.warps_per_group);
  REQUIRE(once(visits));
}

void walk_ring(std::int64_t n, std::int64_t k, bool gated, const GemvPolicy& policy, int ctas) {
  const int rows = reset::detail::ring_rows(policy.chunks);
  if (rows == 4) walk_ring<4>(n, k, gated, policy, ctas);
  if (rows == 2) walk_ring<2>(n, k, gated, policy, ctas);
}

}  // namespace

TEST_CASE("the threads of kRing multiply every chunk of every row once") {
  int walks = 0;
  for (const std::int64_t k : {256, 1024, 2816, 4096, 8448, 12288, 20480, 40960}) {
    for (const std::int64_t n : {7, 40, 66}) {
      for (const bool gated : {false, true}) {
        reset::GemvShape shape = reset::aligned_shape(ActivationType::kNvfp4, 1, n + (gated ? n % 2 : 0), k);
        if (gated) shape.gate = reset::GemvGate::kUpGate;
        for (const int chunks : {1, 2, 3}) {
          for (int spare = 0; spare < 2; ++spare) {
            GemvPolicy policy = reset::ring_policy(device_of(90), ActivationType::kNvfp4, 1, k);
            policy.chunks = chunks;
            policy.warps_per_group = static_cast<int>((k + 1024 * chunks - 1) / (1024 * chunks)) + spare;
            policy.groups = policy.stages = 1 + (spare + chunks) % 2;
            if (!validate(policy, shape, device_of(90)).ok()) continue;
            walk_ring(shape.rows, k, gated, policy, 3);
            ++walks;
          }
        }
      }
    }
  }
  CHECK(walks > 100);
}

TEST_CASE("a warp of kTensor streams the tiles of its group, as their rows are") {
  for (const bool gated : {false, true}) {
    for (const int outputs : {1, 8, 17, 40, 130}) {
      const std::int64_t n = gated ? 2 * 200 : 200;
      const TileRows<kMmaRows> rows{n, gated, 24, 24 + outputs};
      for (int groups = 1; groups <= 5; ++groups) {
        std::vector<int> visits(static_cast<std::size_t>(n));
        for (int group = 0; group < groups; ++group) {
          int turn = 0;
          for (reset::detail::StreamedTiles tiles(rows, group, groups, true); tiles.more(); tiles.next()) {
            const TileRows<kMmaRows> present = tiles.rows(n, gated);
            const int tile = reset::detail::group_tile(group, groups, turn++);
            for (int slot = 0; slot < kMmaRows; ++slot) {
              REQUIRE(present.holds(0, slot) == rows.holds(tile, slot));
              REQUIRE(present.readable_row(0, slot) == rows.readable_row(tile, slot));
              if (present.holds(0, slot)) ++visits[static_cast<std::size_t>(present.row(0, slot))];
            }
          }
          // The warps that add up count on as many.
          REQUIRE(turn == (rows.tiles() - group + groups - 1) / groups);
          REQUIRE_FALSE(reset::detail::StreamedTiles(rows, group, groups, false).more());
        }
        for (std::int64_t row = 0; row < n; ++row) {
          const std::int64_t output = gated ? row % 200 : row;
          const bool own = output >= 24 && output < 24 + outputs;
          REQUIRE(visits[static_cast<std::size_t>(row)] == (own ? 1 : 0));
        }
      }
    }
  }
}

TEST_CASE("the lanes of a warp have all codes of a unit of K in 16 rows") {
  for (int k_warp = 0; k_warp < 3; ++k_warp) {
    std::vector<int> visits(kMmaRows * kUnitK / 2);
    for (int lane = 0; lane < 32; ++lane) {
      for (const int row : {lane / 4, lane / 4 + 8}) {
        for (const int half : {0, 64}) {
          for (int byte = 0; byte < 16; ++byte) {
            const int place = reset::detail::lane_codes(k_warp, lane) + half + byte - k_warp * (kUnitK / 2);
            REQUIRE((place >= 0 && place < kUnitK / 2));
            ++visits[static_cast<std::size_t>(row * (kUnitK / 2) + place)];
          }
        }
      }
    }
    REQUIRE(once(visits));
  }
}

TEST_CASE("the producing warps of kTensorRing copy every run of block scales of a slice once") {
  for (const std::int64_t k : {64, 256, 320, 2880, 4096, 4160}) {
    const int units = reset::detail::k_units(k);
    for (int ctas = 1; ctas <= std::min(units, 8); ctas *= 2) {
      std::vector<int> visits(static_cast<std::size_t>(kMmaRows * (k / 64)));
      for (int cta = 0; cta < ctas; ++cta) {
        const Share share = reset::detail::cut(units, ctas).share(cta);
        const int warps = 1 + cta % 4;
        for (int warp = 0; warp < warps; ++warp) {
          for (int lane = 0; lane < 32; ++lane) {
            const int runs = reset::detail::slice_runs(share, k);
            for (int run = reset::detail::first_run(warp, lane); run < runs; run += warps * 2) {
              const std::int64_t of_row = share.first * (kUnitBlocks / 4) + run;
              REQUIRE(of_row < k / 64);
              ++visits[static_cast<std::size_t>(lane % kMmaRows * (k / 64) + of_row)];
            }
          }
        }
      }
      INFO("k " << k << " in " << ctas);
      REQUIRE(once(visits));
    }
  }
}

TEST_CASE("the slices of a row that comes on its own are all of it") {
  for (const std::int64_t k : {16, 48, 256, 272, 4112, 4128}) {
    const int units = reset::detail::k_units(k);
    for (int ctas = 1; ctas <= std::min(units, 8); ctas *= 2) {
      for (const bool codes : {true, false}) {
        const auto row_bytes = static_cast<int>(codes ? k / 2 : k / 16);
        int next = 0;
        for (int cta = 0; cta < ctas; ++cta) {
          const Share share = reset::detail::cut(units, ctas).share(cta);
          const reset::detail::RowSlice slice(share, codes ? kUnitK / 2 : kUnitBlocks, row_bytes);
          REQUIRE(slice.offset == next);
          REQUIRE(slice.bytes > 0);
          next += slice.bytes;
        }
        REQUIRE(next == row_bytes);
      }
    }
  }
}

// As TokenFragment writes and reads them: 8 tokens' pieces of half a unit, by lanes of which eight are served at once.
TEST_CASE("the pieces of tokens find a place each, and lanes that are served at once different banks") {
  const auto place = reset::detail::piece_place;
  std::vector<int> visits(8 * 16);
  for (int token = 0; token < 8; ++token) {
    for (int c = 0; c < 16; ++c) ++visits[static_cast<std::size_t>(place(token, c))];
  }
  CHECK(once(visits));
  for (int lane = 0; lane < 32; ++lane) {
    const int written = place(lane / 16, lane % 16);
    for (int i = 0; i < 4; ++i) CHECK(i * 32 + written == place(i * 2 + lane / 16, lane % 16));
    const int read = place(lane / 4, lane % 4 * 4);
    for (int w = 0; w < 4; ++w) CHECK((read ^ w) == place(lane / 4, lane % 4 * 4 + w));
  }
  for (int first = 0; first < 32; first += 8) {
    std::vector<int> written(8);
    std::vector<int> read(8);
    for (int lane = first; lane < first + 8; ++lane) {
      ++written[static_cast<std::size_t>(place(lane / 16, lane % 16) % 8)];
      ++read[static_cast<std::size_t>(place(lane / 4, lane % 4 * 4) % 8)];
    }
    CHECK(once(written));
    CHECK(once(read));
  }
}
