#include <reset/nvfp4/layout.hpp>

#include <cstdint>
#include <vector>

#include "support/catch.hpp"

using reset::scale_bytes;
using reset::scale_coordinate;
using reset::scale_offset;
using reset::scale_stride;
using reset::ScaleLayout;

namespace {

constexpr ScaleLayout kLinear = ScaleLayout::kLinear;
constexpr ScaleLayout kSwizzled = ScaleLayout::kSwizzled128x4;

// Evaluated by hand from offset(r, c) = ((r/128) * ceil(Kb/4) + c/4) * 512 + (r%32) * 16 + ((r%128)/32) * 4 + c%4.
static_assert(scale_offset(kSwizzled, 8, 0, 0) == 0);
static_assert(scale_offset(kSwizzled, 8, 0, 3) == 3);
static_assert(scale_offset(kSwizzled, 8, 0, 4) == 512);
static_assert(scale_offset(kSwizzled, 8, 1, 0) == 16);
static_assert(scale_offset(kSwizzled, 8, 32, 0) == 4);
static_assert(scale_offset(kSwizzled, 8, 33, 5) == 512 + 16 + 4 + 1);
static_assert(scale_offset(kSwizzled, 8, 127, 7) == 1023);
static_assert(scale_offset(kSwizzled, 8, 128, 0) == 1024);
static_assert(scale_offset(kSwizzled, 8, 300, 6) == (2 * 2 + 1) * 512 + 12 * 16 + 1 * 4 + 2);
static_assert(scale_offset(kLinear, 7, 3, 5) == 26);

static_assert(scale_stride(kLinear, 5) == 5);
static_assert(scale_stride(kSwizzled, 5) == 8);
static_assert(scale_bytes(kLinear, 130, 5) == 650);
static_assert(scale_bytes(kSwizzled, 130, 5) == 2048);
static_assert(scale_bytes(kSwizzled, 128, 4) == 512);
static_assert(scale_bytes(kSwizzled, 1, 1) == 512);

static_assert(reset::nibble_byte(0) == 0 && reset::nibble_shift(0) == 0);
static_assert(reset::nibble_byte(1) == 0 && reset::nibble_shift(1) == 4);
static_assert(reset::nibble_byte(30) == 15 && reset::nibble_shift(31) == 4);

// Counts what breaks the bijection between the padded extent and the bytes 0..size-1.
int count_broken(ScaleLayout layout, std::int64_t padded_rows, std::int64_t stride) {
  std::vector<int> seen(static_cast<std::size_t>(padded_rows * stride), 0);
  int broken = 0;
  for (std::int64_t row = 0; row < padded_rows; ++row) {
    for (std::int64_t block = 0; block < stride; ++block) {
      const std::int64_t offset = scale_offset(layout, stride, row, block);
      if (offset < 0 || offset >= padded_rows * stride || seen[static_cast<std::size_t>(offset)]++ != 0) {
        ++broken;
        continue;
      }
      const reset::ScaleCoordinate back = scale_coordinate(layout, stride, offset);
      broken += back.row != row || back.block != block;
    }
  }
  return broken;
}

}  // namespace

TEST_CASE("both layouts map the padded extent one to one, and back") {
  for (const std::int64_t rows : {1, 31, 128, 129, 300}) {
    for (const std::int64_t blocks : {1, 3, 4, 5, 12, 17}) {
      CAPTURE(rows, blocks);
      CHECK(count_broken(kLinear, rows, blocks) == 0);
      const std::int64_t stride = scale_stride(kSwizzled, blocks);
      const std::int64_t padded_rows = scale_bytes(kSwizzled, rows, blocks) / stride;
      CHECK((padded_rows % 128 == 0 && padded_rows >= rows && padded_rows < rows + 128));
      CHECK((stride % 4 == 0 && stride >= blocks && stride < blocks + 4));
      CHECK(count_broken(kSwizzled, padded_rows, stride) == 0);
    }
  }
}
