// The cut of the work of the tensor-core kernels visits every weight exactly once, and stores every result once.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "gemv/device_fixture.hpp"
#include "gemv/problem_fixture.hpp"
#include "support/catch.hpp"

#include <reset/gemv/detail/lane_places.hpp>
#include <reset/gemv/detail/tile_rows.hpp>
#include <reset/gemv/detail/work_shares.hpp>
#include <reset/gemv/policy.hpp>

using reset::GemvKernel;
using reset::GemvPolicy;
using reset::GemvProblem;
using reset::detail::Cut;
using reset::detail::Share;

namespace {

template <int kRows>
void check_tiles(const reset::detail::TileRows<kRows>& work) {
  const std::int64_t rows = work.rows;
  const bool gated = work.gated;
  std::vector<int> visits(static_cast<std::size_t>(rows));
  for (int tile = 0; tile < work.tiles(); ++tile) {
    for (int slot = 0; slot < kRows; ++slot) {
      const std::int64_t readable = work.readable_row(tile, slot);
      REQUIRE((readable >= 0 && readable < rows));
      if (!work.holds(tile, slot)) continue;
      REQUIRE(readable == work.row(tile, slot));
      ++visits[static_cast<std::size_t>(readable)];
      // A gate finds the pair of a row half a tile further on.
      if (gated && slot < kRows / 2) REQUIRE(work.row(tile, slot + kRows / 2) == readable + rows / 2);
    }
  }
  for (const int visit : visits) REQUIRE(visit == 1);
}

template <int kRows>
void check_tiles(std::int64_t rows, bool gated) {
  check_tiles(reset::detail::TileRows<kRows>{rows, gated});
}

// All of them, spread.
template <int kRows>
reset::detail::TileRows<kRows> spread_rows(std::int64_t rows, bool gated) {
  reset::detail::TileRows<kRows> work{rows, gated};
  work.spread = true;
  return work;
}

// The rows of a box and where their swizzled scales lie in what it brings of a tile: `near` neighbours and those 32, 64
// and 96 behind them.
template <int kRows>
void check_boxes(const reset::detail::TileRows<kRows>& work, int near) {
  constexpr auto kLayout = reset::ScaleLayout::kSwizzled128x4;
  constexpr std::int64_t kStride = 8;
  for (int tile = 0; tile < work.tiles(); ++tile) {
    for (int slot = 0; slot < kRows; ++slot) {
      const int place = slot % (4 * near);
      const std::int64_t first = work.row(tile, slot - place);
      REQUIRE(work.row(tile, slot) == first + place % near + place / near * 32);
      REQUIRE(first % 128 < 32);
      for (int block = 0; block < kStride; ++block) {
        const std::int64_t piece = reset::scale_offset(kLayout, kStride, first, block / 4 * 4);
        REQUIRE(piece % (16 * near) == 0);
        REQUIRE(reset::scale_offset(kLayout, kStride, work.row(tile, slot), block) ==
                piece + place % near * 16 + place / near * 4 + block % 4);
      }
    }
  }
}

// Where a thread of kRing finds the scales of a chunk, of rows that a box brings: piece i of it, 16 bytes, is of tile i
// along K, and begins with the row that is the tile's first modulo 32.
template <int kRows>
void check_ring_scales(const reset::detail::TileRows<kRows>& work) {
  constexpr auto kLayout = reset::ScaleLayout::kSwizzled128x4;
  constexpr int kChunks = 16;
  for (int tile = 0; tile < work.tiles(); ++tile) {
    const std::int64_t row = work.row(tile, 0);
    const std::int64_t piece_row = row / 128 * 128 + row % 32;
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      const int place = reset::detail::ring_box_scales(kRows, tile, chunk);
      const std::int64_t piece = reset::scale_offset(kLayout, kChunks * 2, piece_row, place / 16 * 4);
      for (int slot = 0; slot < kRows; ++slot) {
        REQUIRE(piece + place % 16 + slot * 4 ==
                reset::scale_offset(kLayout, kChunks * 2, work.row(tile, slot), chunk * 2));
      }
    }
  }
}

// Counts what the warps of a launch multiply and store.
class Walk {
 public:
  Walk(const GemvProblem& problem, const GemvPolicy& policy, const reset::DeviceInfo& device)
      : policy_(policy),
        n_(problem.weights.rows),
        gated_(problem.gate != reset::GemvGate::kNone),
        spread_(policy.kernel == GemvKernel::kTensorRing && !policy.odd_rows &&
                reset::detail::scale_copies(shape_of(problem)) == reset::detail::ScaleCopies::kTiles),
        blocks_(problem.weights.cols / 16),
        clusters_(static_cast<int>(tensor_clusters(policy, shape_of(problem), device))),
        runs_(reset::detail::cut(static_cast<int>(reset::detail::output_runs(n_, gated_)), clusters_)),
        most_tiles_(reset::detail::share_tiles(reset::detail::output_runs(n_, gated_), gated_, clusters_)),
        units_(reset::detail::cut(static_cast<int>((problem.weights.cols + 255) / 256), policy.slices)),
        visits_(static_cast<std::size_t>(problem.weights.rows * blocks_)),
        stores_(static_cast<std::size_t>(problem.weights.rows)) {}

  void check() {
    REQUIRE(clusters_ > 0);
    for (int cluster = 0; cluster < clusters_; ++cluster) {
      const Rows rows = rows_of(runs_.share(cluster));
      REQUIRE(rows.tiles() > 0);
      REQUIRE(rows.tiles() <= most_tiles_);  // shared memory holds the sums of so many
      // kTensor takes one slice after the other, kTensorRing one a CTA of the cluster.
      for (int slice = 0; slice < policy_.slices; ++slice) walk_slice(rows, units_.share(slice));
      for (int rank = 0; rank < policy_.cluster; ++rank) walk_stores(rows, rank);
    }
    REQUIRE(std::all_of(visits_.begin(), visits_.end(), [](int visits) { return visits == 1; }));
    REQUIRE(std::all_of(stores_.begin(), stores_.end(), [](int stores) { return stores == 1; }));
  }

 private:
  using Rows = reset::detail::TileRows<reset::detail::kMmaRows>;

  Rows rows_of(Share runs) const {
    const int first = runs.first * reset::detail::kOutputRun;
    const int end = first + runs.count * reset::detail::kOutputRun;
    return {n_, gated_, first, std::min(end, static_cast<int>(gated_ ? n_ / 2 : n_)), spread_};
  }

  void walk_slice(const Rows& rows, Share units) {
    REQUIRE((units.count > 0 && units.count <= policy_.k_warps));
    for (int group = 0; group < policy_.row_groups; ++group) {
      for (int k_warp = 0; k_warp < units.count; ++k_warp) {
        for (int i = group; i < rows.tiles(); i += policy_.row_groups) visit(rows, i, units.first + k_warp);
      }
    }
  }

  void visit(const Rows& rows, int tile, int unit) {
    for (int slot = 0; slot < reset::detail::kMmaRows; ++slot) {
      if (!rows.holds(tile, slot)) continue;
      const std::int64_t end = std::min<std::int64_t>(blocks_, std::int64_t{unit + 1} * 16);
      for (std::int64_t block = std::int64_t{unit} * 16; block < end; ++block) {
        ++visits_[static_cast<std::size_t>(rows.row(tile, slot) * blocks_ + block)];
      }
    }
  }

  void walk_stores(const Rows& rows, int rank) {
    const int own = (rows.tiles() - rank + policy_.cluster - 1) / policy_.cluster;
    for (int i = 0; i < own; ++i) {
      const int tile = rank + i * policy_.cluster;
      REQUIRE(tile < rows.tiles());
      for (int slot = 0; slot < reset::detail::kMmaRows; ++slot) {
        if (rows.holds(tile, slot)) ++stores_[static_cast<std::size_t>(rows.row(tile, slot))];
      }
    }
  }

  GemvPolicy policy_;
  std::int64_t n_;
  bool gated_;
  bool spread_;
  std::int64_t blocks_;
  int clusters_;
  Cut runs_;
  std::int64_t most_tiles_;
  Cut units_;
  std::vector<int> visits_;
  std::vector<int> stores_;
};

}  // namespace

TEST_CASE("a cut gives every item to one share, and shares differ by one item at most") {
  for (int total = 0; total <= 70; ++total) {
    for (int parts = 1; parts <= 40; ++parts) {
      const Cut cut = reset::detail::cut(total, parts);
      int next = 0;
      for (int part = 0; part < parts; ++part) {
        const Share share = cut.share(part);
        REQUIRE(share.first == next);
        REQUIRE((share.count == total / parts || share.count == (total + parts - 1) / parts));
        REQUIRE((part == 0 || share.count <= cut.share(part - 1).count));
        next += share.count;
      }
      REQUIRE(next == total);
    }
  }
}

TEST_CASE("every row is in exactly one tile") {
  for (std::int64_t rows = 1; rows <= 131; ++rows) {
    check_tiles<1>(rows, false);
    check_tiles<2>(rows, false);
    check_tiles<4>(rows, false);
    check_tiles<16>(rows, false);
    if (rows % 2 == 0) check_tiles<2>(rows, true);
    if (rows % 2 == 0) check_tiles<4>(rows, true);
    if (rows % 2 == 0) check_tiles<16>(rows, true);
  }
  for (const std::int64_t rows : {128, 256, 768}) {
    check_tiles(spread_rows<2>(rows, false));
    check_tiles(spread_rows<4>(rows, false));
    check_tiles(spread_rows<16>(rows, false));
    if (rows % 256 == 0) check_tiles(spread_rows<16>(rows, true));
  }
}

TEST_CASE("spread rows have their swizzled scales together") {
  check_boxes(spread_rows<4>(384, false), 1);
  check_boxes(spread_rows<16>(384, false), 2);
  check_boxes(spread_rows<16>(768, true), 2);
}

TEST_CASE("a thread of kRing finds the block scales of its chunk in the boxes of spread rows") {
  check_ring_scales(spread_rows<4>(384, false));
  check_ring_scales(spread_rows<2>(384, false));
}

TEST_CASE("the boxes of kRing bring all block scales of spread rows, at multiples of 128") {
  for (std::int64_t k = 512; k <= reset::detail::kRingMostSpreadK; k += 512) {
    const auto pieces = static_cast<int>(k / 64);
    const int box = reset::detail::ring_box_pieces(k);
    REQUIRE((box <= 256 && box <= pieces && 2 * box >= pieces));
    REQUIRE((pieces - box) * 16 % 128 == 0);
  }
}

TEST_CASE("a lane finds the block scales of its rows in the boxes of spread ones") {
  constexpr auto kLayout = reset::ScaleLayout::kSwizzled128x4;
  constexpr std::int64_t kStride = 48;  // three units of K
  const auto work = spread_rows<16>(256, false);
  for (int tile = 0; tile < work.tiles(); ++tile) {
    for (int box = 0; box < 2; ++box) {
      const std::int64_t first = work.row(tile, box * 8);
      for (int k_warp = 0; k_warp < 3; ++k_warp) {
        for (int lane = 0; lane < 32; ++lane) {
          for (int half = 0; half < 2; ++half) {
            const std::uint32_t place = reset::detail::lane_scales(true, 0, k_warp, lane) +
                                        static_cast<std::uint32_t>(half * reset::detail::half_unit_scales(true));
            // Byte i of a box is byte i % 32 of the piece of tile i / 32 along K.
            const std::int64_t piece = reset::scale_offset(kLayout, kStride, first, place / 32 * 4);
            const std::int64_t block = k_warp * 16 + half * 8 + lane % 4 * 2;
            REQUIRE(piece + place % 32 ==
                    reset::scale_offset(kLayout, kStride, work.row(tile, box * 8 + lane / 4), block));
          }
        }
      }
    }
  }
}

TEST_CASE("the tensor-core kernels visit every weight and store every result exactly once") {
  reset::DeviceInfo few = device_of(90);  // many tiles a cluster
  few.sm_count = 3;
  few.clusters[0] = few.clusters[1] = few.clusters[2] = 1;
  int walks = 0;
  for (const reset::DeviceInfo& device : {device_of(90), few}) {
    for (const std::int64_t n : {1, 2, 17, 40, 130, 1000, 1152, 1280, 2114}) {
      for (const std::int64_t k : {16, 256, 272, 2816, 4096, 4352}) {
        for (const int tokens : {1, 8, 16}) {
          GemvProblem problem = well_formed(reset::ActivationType::kBf16, tokens, n, k);
          if (n % 4 == 0 && n != 1152) problem.gate = reset::GemvGate::kGateUp;
          if (n == 1152 || n == 1280) swizzle_scales(problem.weights);
          for (const int cut : {1, 2, 3, 4, 5, 8}) {
            for (int groups = 1; groups <= 3; ++groups) {
              for (const GemvKernel kernel : {GemvKernel::kTensor, GemvKernel::kTensorRing}) {
                GemvPolicy policy;
                policy.kernel = kernel;
                policy.tokens = tokens;
                policy.slices = cut;
                policy.cluster = kernel == GemvKernel::kTensor ? 1 : cut;
                policy.k_warps = static_cast<int>((k + 256 * cut - 1) / (256 * cut)) + groups % 2;
                policy.row_groups = policy.stages = groups;
                policy.odd_rows = k % 64 != 0;
                if (!validate(policy, problem, device).ok()) continue;
                INFO("n " << n << " k " << k << " cut " << cut << " groups " << groups);
                Walk(problem, policy, device).check();
                ++walks;
              }
            }
          }
        }
      }
    }
  }
  CHECK(walks > 500);
}
