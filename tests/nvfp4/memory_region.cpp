// Whether regions of rows share a byte, against a count of their bytes.
#include <cstdint>
#include <random>
#include <set>

#include <reset/nvfp4/detail/memory_region.hpp>

#include "support/catch.hpp"

using reset::detail::MemoryRegion;
using reset::detail::overlap;

namespace {

bool share_a_byte(const MemoryRegion& a, const MemoryRegion& b) {
  std::set<std::uintptr_t> bytes;
  const auto each = [](const MemoryRegion& region, auto visit) {
    for (std::int64_t row = 0; row < region.rows; ++row) {
      for (std::int64_t i = 0; i < region.width; ++i) {
        visit(region.begin + static_cast<std::uintptr_t>(row * region.stride + i));
      }
    }
  };
  each(a, [&](std::uintptr_t byte) { bytes.insert(byte); });
  bool shared = false;
  each(b, [&](std::uintptr_t byte) { shared = shared || bytes.count(byte) > 0; });
  return shared;
}

}  // namespace

TEST_CASE("regions overlap where they share a byte, and nowhere else") {
  std::mt19937 random(7);
  const auto draw = [&](int most) { return static_cast<std::int64_t>(random() % static_cast<unsigned>(most)) + 1; };
  int wrong = 0;
  int shared = 0;
  for (int round = 0; round < 30000; ++round) {
    const auto region = [&] {
      const std::int64_t width = draw(6);
      return MemoryRegion{static_cast<std::uintptr_t>(1000 + draw(40)), draw(5), width, width + draw(20) - 1};
    };
    const MemoryRegion a = region();
    const MemoryRegion b = region();
    const bool expected = share_a_byte(a, b);
    shared += expected;
    wrong += overlap(a, b) != expected || overlap(b, a) != expected;
  }
  CHECK(wrong == 0);
  CHECK(shared > 3000);
  CHECK(shared < 27000);
}

TEST_CASE("column ranges of one buffer are apart, and the stride of a single row does not matter") {
  const MemoryRegion left{4096, 1000, 64, 128};
  CHECK(!overlap(left, {4096 + 64, 1000, 64, 128}));
  CHECK(overlap(left, {4096 + 63, 1000, 65, 128}));
  CHECK(overlap(left, {4096 + 64, 1000, 65, 128}));
  for (const std::int64_t stride : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 62}) {
    CHECK(!overlap(left, {4096 + 64, 1, 64, stride}));
    CHECK(overlap(left, {4096 + 64, 1, 65, stride}));
  }
}

TEST_CASE("regions that reach beyond the highest address do not wrap") {
  constexpr std::int64_t kMost = 0x7fffffff;
  const MemoryRegion region{std::uintptr_t{1} << 40, kMost, 4 * kMost, 4 * kMost};
  CHECK(!overlap(region, {4096, 16, 1 << 20, 1 << 20}));
  CHECK(overlap(region, {std::uintptr_t{1} << 63, 16, 1 << 20, 1 << 20}));
}
