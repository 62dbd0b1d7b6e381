// What a mat-vec may ask for ahead, and in which pieces.
#include <cstdint>
#include <set>
#include <string>

#include "gemv/problem_fixture.hpp"
#include "support/catch.hpp"

#include <reset/gemv/prefetch.hpp>

using reset::ActivationType;
using reset::GemvProblem;

TEST_CASE("a prefetch takes whole matrices and parts of them, and says what it cannot take") {
  const GemvProblem problem = well_formed(ActivationType::kBf16, 1, 1000, 4096);
  reset::Prefetch prefetch;
  REQUIRE(prefetch.add(problem.weights).ok());
  REQUIRE(prefetch.count == 2);
  CHECK(prefetch.regions[0].rows == 1);
  CHECK(prefetch.regions[0].width == 1000 * 2048);
  CHECK(prefetch.regions[1].width == 1000 * 256);
  reset::Nvfp4MatrixView part = reset::col_slice(reset::row_slice(problem.weights, 10, 20), 1024, 512);
  REQUIRE(prefetch.add(part).ok());
  CHECK(prefetch.regions[2].begin == reset::detail::address(problem.weights.packed) + 10 * 2048 + 512);
  CHECK(prefetch.regions[2].rows == 20);
  CHECK(prefetch.regions[2].width == 256);
  CHECK(prefetch.regions[2].stride == 2048);
  part.packed = nullptr;
  CHECK(prefetch.add(part).message() ==
        "invalid argument: view.packed is 0, expected not null (as a slice is whose range is empty, beyond the matrix, "
        "or not by 16)");
  REQUIRE(prefetch.add(problem.weights).ok());
  CHECK(prefetch.add(problem.weights).message() ==
        "invalid argument: prefetch.count is 6, expected at most 4 regions, to add a matrix, which takes two");
  CHECK(prefetch.count == 6);
  CHECK(validate(prefetch).ok());
  for (const int count : {-1, 7}) {
    prefetch.count = count;
    CHECK(std::string(validate(prefetch).argument()) == "prefetch.count");
  }
  reset::Prefetch first;
  REQUIRE(first.add(problem.weights, 100 * (2048 + 256) + 5).ok());
  CHECK(first.regions[0].width == 100 * 2048);
  CHECK(first.regions[1].width == 100 * 256);
  CHECK(std::string(first.add(problem.weights, 0).argument()) == "most_bytes");
  REQUIRE(first.add(problem.weights, 1).ok());
  CHECK(first.regions[2].width == 2048);
}

TEST_CASE("the pieces of a prefetch are the whole units of 16 bytes of its region, each once, and nothing else") {
  const reset::detail::MemoryRegion regions[] = {{4096, 1, 10000, 0},   {4097, 1, 10000, 0}, {4111, 3, 2049, 5000},
                                                 {5000, 7, 100, 160},   {4104, 5, 7, 64},    {4096, 2, 2048, 2048},
                                                 {4100, 1, 1 << 20, 0}, {4096, 1, 16, 0}};
  for (const auto& region : regions) {
    std::set<std::uintptr_t> wanted;
    for (std::int64_t row = 0; row < region.rows; ++row) {
      const std::uintptr_t begin = region.begin + static_cast<std::uintptr_t>(row * region.stride);
      const std::uintptr_t end = begin + static_cast<std::uintptr_t>(region.width);
      for (std::uintptr_t unit = (begin + 15) / 16; (unit + 1) * 16 <= end; ++unit) wanted.insert(unit);
    }
    for (std::int64_t i = 0; i < reset::detail::prefetch_pieces(region); ++i) {
      const reset::detail::PrefetchPiece piece = reset::detail::prefetch_piece_of(region, i);
      REQUIRE(piece.bytes <= reset::detail::kPrefetchPiece);
      if (piece.bytes > 0) REQUIRE(piece.begin % 16 == 0);
      for (std::uintptr_t unit = piece.begin / 16; unit < piece.begin / 16 + piece.bytes / 16; ++unit) {
        REQUIRE(wanted.erase(unit) == 1);
      }
    }
    INFO("begin " << region.begin << " width " << region.width);
    CHECK(wanted.empty());
  }
}
