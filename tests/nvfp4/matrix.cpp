#include <reset/nvfp4/matrix.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "support/catch.hpp"

using reset::BlockScaleView;
using reset::FusedGlobalScales;
using reset::GlobalScale;
using reset::Nvfp4MatrixView;
using reset::Nvfp4MutableMatrixView;
using reset::ScaleLayout;

namespace {

static_assert(std::is_trivially_copyable_v<Nvfp4MatrixView> && std::is_aggregate_v<Nvfp4MatrixView>);
static_assert(std::is_trivially_copyable_v<Nvfp4MutableMatrixView> && std::is_aggregate_v<Nvfp4MutableMatrixView>);
static_assert(std::is_convertible_v<Nvfp4MutableMatrixView, Nvfp4MatrixView>);
static_assert(!std::is_convertible_v<Nvfp4MatrixView, Nvfp4MutableMatrixView>);

const std::uint8_t kBytes[300 * 48] = {};

Nvfp4MatrixView good() {
  Nvfp4MatrixView view{kBytes, 300, 96, 48, {kBytes, ScaleLayout::kSwizzled128x4, 8, 0, 0}, {}};
  view.global.parts[0] = {0, {1.0f}};
  view.global.parts[1] = {100, {2.0f}};
  view.global.parts[2] = {205, {3.0f}};
  view.global.count = 3;
  return view;
}

// The message validate gives for a good view that `spoil` has changed.
template <class Spoil>
std::string refusal(Spoil spoil) {
  Nvfp4MatrixView view = good();
  spoil(view);
  return validate(view).message();
}

}  // namespace

TEST_CASE("a well formed view is accepted") {
  CHECK(validate(good()).ok());
  Nvfp4MatrixView linear = good();
  linear.block_scale.layout = ScaleLayout::kLinear;
  linear.block_scale.stride = 6;
  CHECK(validate(linear).ok());
}

TEST_CASE("validate names what is wrong with a view") {
  using V = Nvfp4MatrixView;
  const float nan = __builtin_bit_cast(float, 0x7fc00000u);
  const float inf = __builtin_bit_cast(float, 0x7f800000u);
  const float subnormal = __builtin_bit_cast(float, 0x007fffffu);
  CHECK(refusal([](V& v) { v.packed = nullptr; }) ==
        "invalid argument: packed is 0, expected not null (as a slice is whose range is empty, beyond the matrix, or "
        "not by 16)");
  CHECK(refusal([](V& v) { v.rows = 0; }) == "invalid argument: rows is 0, expected 1..2^31-1");
  CHECK(refusal([](V& v) { v.rows = std::int64_t{1} << 31; }).find("rows is 2147483648") != std::string::npos);
  CHECK(refusal([](V& v) { v.cols = -16; }) == "invalid argument: cols is -16, expected 1..2^31-1");
  CHECK(refusal([](V& v) { v.cols = 40; }) == "invalid argument: cols is 40, expected a multiple of 16");
  CHECK(refusal([](V& v) { v.row_stride = 47; }) == "invalid argument: row_stride is 47, expected at least cols / 2");
  CHECK(refusal([](V& v) { v.row_stride = std::int64_t{1} << 33; }) ==
        "invalid argument: row_stride is 8589934592, expected at most 2^31-1");
  CHECK(refusal([](V& v) { v.block_scale.row_origin = std::numeric_limits<std::int64_t>::max(); }) ==
        "invalid argument: block_scale.row_origin is 9223372036854775807, expected 0..2^31-1");
  CHECK(refusal([](V& v) { v.block_scale.data = nullptr; }).find("block_scale.data") != std::string::npos);
  CHECK(refusal([](V& v) { v.block_scale.stride = 4; }).find("block_scale.stride is 4") != std::string::npos);
  CHECK(refusal([](V& v) { v.block_scale.stride = 10; }).find("a multiple of 4") != std::string::npos);
  CHECK(refusal([](V& v) { v.block_scale.block_origin = 3; }).find("block_scale.stride is 8") != std::string::npos);
  CHECK(refusal([](V& v) { v.block_scale.block_origin = std::numeric_limits<std::int64_t>::max(); }) ==
        "invalid argument: block_scale.block_origin is 9223372036854775807, expected 0..2^31-1");
  CHECK(refusal([](V& v) { v.block_scale.block_origin = -1; }).find("block_origin is -1") != std::string::npos);
  CHECK(refusal([](V& v) { v.block_scale.row_origin = -1; }).find("row_origin is -1") != std::string::npos);
  CHECK(refusal([](V& v) { v.block_scale.layout = static_cast<ScaleLayout>(7); }).find("layout is 7") !=
        std::string::npos);
  CHECK(refusal([](V& v) { v.global.count = 0; }) == "invalid argument: global.count is 0, expected 1..4");
  CHECK(refusal([](V& v) { v.global.count = 5; }) == "invalid argument: global.count is 5, expected 1..4");
  CHECK(refusal([](V& v) { v.global.parts[0].first_row = 1; }).find("parts[0].first_row is 1") != std::string::npos);
  CHECK(refusal([](V& v) { v.global.parts[2].first_row = 100; }).find("parts[2].first_row is 100") !=
        std::string::npos);
  CHECK(refusal([](V& v) { v.global.parts[2].first_row = 300; }).find("less than rows") != std::string::npos);
  for (const float bad : {nan, inf, -inf, -1.0f, 0.0f, -0.0f, subnormal}) {
    CHECK(refusal([bad](V& v) { v.global.parts[2].scale.value = bad; }).find("global.parts[2].scale") !=
          std::string::npos);
  }
}

TEST_CASE("the scales of fused projections can be listed") {
  const auto scales = reset::FusedGlobalScales::fused({{0, {1.0F}}, {4, {2.0F}}, {9, {3.0F}}});
  CHECK(scales.count == 3);
  CHECK(scales.at(3).value == 1.0F);
  CHECK(scales.at(4).value == 2.0F);
  CHECK(scales.at(20).value == 3.0F);
  const auto many = reset::FusedGlobalScales::fused({{0, {1.0F}}, {1, {1.0F}}, {2, {1.0F}}, {3, {1.0F}}, {4, {1.0F}}});
  CHECK(reset::detail::validate(many, 10).argument() == std::string("global.count"));
  auto forgotten = scales;  // a part that no count includes would silently be the one before it
  forgotten.count = 2;
  CHECK(reset::detail::validate(forgotten, 10).argument() == std::string("global.count"));
}

TEST_CASE("every row finds the global scale of its part") {
  const FusedGlobalScales global = good().global;
  CHECK(global.at(0).value == 1.0f);
  CHECK(global.at(99).value == 1.0f);
  CHECK(global.at(100).value == 2.0f);
  CHECK(global.at(204).value == 2.0f);
  CHECK(global.at(299).value == 3.0f);
  STATIC_REQUIRE(FusedGlobalScales::uniform(GlobalScale{0.5f}).at(12345).value == 0.5f);
}

TEST_CASE("slices see the same elements, scales and globals as their parent") {
  const Nvfp4MatrixView parent = good();
  int wrong = 0;
  for (const std::int64_t first : {0, 1, 99, 100, 150, 299}) {
    for (const std::int64_t count : {1, 5, 107, 300}) {
      if (first + count > parent.rows) continue;
      const Nvfp4MatrixView rows = row_slice(parent, first, count);
      const Nvfp4MatrixView part = col_slice(row_slice(rows, 0, count), 32, 48);
      CHECK(validate(rows).ok());
      CHECK(validate(part).ok());
      CHECK((part.rows == count && part.cols == 48));
      for (std::int64_t r = 0; r < count; ++r) {
        wrong += part.packed + r * part.row_stride != parent.packed + (first + r) * parent.row_stride + 16;
        wrong += part.global.at(r).value != parent.global.at(first + r).value;
        wrong += part.block_scale.data != parent.block_scale.data;
        for (std::int64_t b = 0; b < 3; ++b) {
          wrong += part.block_scale.offset(r, b) != parent.block_scale.offset(first + r, b + 2);
        }
      }
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("a slice drops the parts that it does not touch") {
  const Nvfp4MatrixView middle = row_slice(good(), 120, 60);
  CHECK(middle.global.count == 1);
  CHECK(middle.global.parts[0].first_row == 0);
  CHECK(middle.global.parts[0].scale.value == 2.0f);
  const Nvfp4MatrixView end = row_slice(good(), 120, 180);
  CHECK(end.global.count == 2);
  CHECK(end.global.parts[1].first_row == 85);
}

TEST_CASE("a slice outside its parent is a view that validate refuses") {
  const Nvfp4MatrixView parent = good();
  CHECK_FALSE(validate(row_slice(parent, -1, 5)).ok());
  CHECK_FALSE(validate(row_slice(parent, 0, 0)).ok());
  CHECK_FALSE(validate(row_slice(parent, 299, 2)).ok());
  CHECK_FALSE(validate(row_slice(parent, 1, std::numeric_limits<std::int64_t>::max())).ok());
  CHECK_FALSE(validate(col_slice(parent, 8, 16)).ok());
  CHECK_FALSE(validate(col_slice(parent, 16, 24)).ok());
  CHECK_FALSE(validate(col_slice(parent, -16, 32)).ok());
  CHECK_FALSE(validate(col_slice(parent, 80, 32)).ok());
}
