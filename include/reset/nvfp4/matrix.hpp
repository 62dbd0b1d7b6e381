/// @file
/// Views of NVFP4 matrices in memory that the caller owns, host or device: nothing here allocates or frees.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include <reset/config.hpp>
#include <reset/detail/rounding.hpp>
#include <reset/nvfp4/layout.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// The factor a whole tensor shares: weight = e2m1 * block scale * global scale. It multiplies (compressed-tensors
/// files store its reciprocal). Valid ones are positive, finite and not subnormal, so that engines which flush
/// subnormals agree.
struct GlobalScale {
  float value;  ///< The factor.
};

/// Whether a global scale is positive, finite and not subnormal.
RESET_HOST_DEVICE constexpr bool is_valid(GlobalScale scale) noexcept {
  return detail::bits_of(scale.value) - 0x00800000u < detail::kFloatInfinity - 0x00800000u;
}

/// The block scales of a matrix, which may be a part of a larger scale tensor: the scale of the matrix's (row, block)
/// is that tensor's (row_origin + row, block_origin + block). `Byte` is `const std::uint8_t`, or `std::uint8_t` to
/// write.
template <class Byte>
struct BasicBlockScaleView {
  Byte* data = nullptr;                       ///< E4M3 codes of the whole tensor, from its first byte.
  ScaleLayout layout = ScaleLayout::kLinear;  ///< How they lie.
  std::int64_t stride = 0;        ///< kLinear: bytes a row. kSwizzled128x4: the tensor's padded blocks a row.
  std::int64_t row_origin = 0;    ///< Row of the tensor at which the matrix begins.
  std::int64_t block_origin = 0;  ///< Block of the tensor at which the matrix begins.

  /// Offset from `data` of the scale of the matrix's (row, block).
  RESET_HOST_DEVICE constexpr std::int64_t offset(std::int64_t row, std::int64_t block) const noexcept {
    return scale_offset(layout, stride, row_origin + row, block_origin + block);
  }
};

/// Block scales to read.
using BlockScaleView = BasicBlockScaleView<const std::uint8_t>;
/// Block scales to write.
using MutableBlockScaleView = BasicBlockScaleView<std::uint8_t>;

/// Rows from `first_row` up to the next part share one global scale.
struct FusedPart {
  std::int64_t first_row = 0;  ///< Any row; the first part's is 0.
  GlobalScale scale = {0.0f};  ///< The factor of those rows; the default is refused, lest it be forgotten.
};

/// The global scales of a matrix: one, or one for each of the projections fused into it (q, k, v or gate, up; in the
/// order of their rows).
struct FusedGlobalScales {
  /// The most parts a matrix can have.
  static constexpr int kMaxParts = 4;

  FusedPart parts[kMaxParts];  ///< In ascending order of first_row; the first `count` count.
  int count = 1;               ///< 1..kMaxParts.

  /// The same scale for every row.
  RESET_HOST_DEVICE static constexpr FusedGlobalScales uniform(GlobalScale scale) noexcept {
    FusedGlobalScales scales{};
    scales.parts[0].scale = scale;
    return scales;
  }

  /// One for each of up to kMaxParts parts, in the order of their rows: {{0, gate}, {N / 2, up}}, say. More are refused
  /// by `validate`.
  static constexpr FusedGlobalScales fused(std::initializer_list<FusedPart> list) noexcept {
    FusedGlobalScales scales{};
    scales.count = 0;
    for (const FusedPart& part : list) {
      if (scales.count < kMaxParts) scales.parts[scales.count] = part;
      ++scales.count;
    }
    return scales;
  }

  /// The part that `row` belongs to.
  RESET_HOST_DEVICE constexpr int part_of(std::int64_t row) const noexcept {
    int part = 0;
    while (part + 1 < count && parts[part + 1].first_row <= row) ++part;
    return part;
  }

  /// The global scale of `row`.
  RESET_HOST_DEVICE constexpr GlobalScale at(std::int64_t row) const noexcept { return parts[part_of(row)].scale; }
};

/// A matrix of `rows` output features by `cols` input features. Two elements share a byte, even k in the low nibble;
/// 16 along K share a block scale; rows share a global scale. Trivially copyable: kernels take it by value.
/// `Byte` is `const std::uint8_t`, or `std::uint8_t` to write.
template <class Byte>
struct BasicNvfp4MatrixView {
  Byte* packed = nullptr;                 ///< E2M1 codes; any alignment.
  std::int64_t rows = 0;                  ///< N.
  std::int64_t cols = 0;                  ///< K, a multiple of 16.
  std::int64_t row_stride = 0;            ///< Bytes from one packed row to the next, at least K / 2.
  BasicBlockScaleView<Byte> block_scale;  ///< N x K/16.
  FusedGlobalScales global;               ///< One factor a part.

  /// Blocks along K.
  RESET_HOST_DEVICE constexpr std::int64_t blocks() const noexcept { return cols / kNvfp4BlockSize; }

  /// A view to write is a view to read.
  template <class Other, std::enable_if_t<std::is_same_v<Other, const Byte> && !std::is_const_v<Byte>, int> = 0>
  RESET_HOST_DEVICE constexpr operator BasicNvfp4MatrixView<Other>() const noexcept {
    const BasicBlockScaleView<Other> scale{block_scale.data, block_scale.layout, block_scale.stride,
                                           block_scale.row_origin, block_scale.block_origin};
    return {packed, rows, cols, row_stride, scale, global};
  }
};

/// A matrix to read.
using Nvfp4MatrixView = BasicNvfp4MatrixView<const std::uint8_t>;
/// A matrix to write: what the quantisers fill.
using Nvfp4MutableMatrixView = BasicNvfp4MatrixView<std::uint8_t>;

namespace detail {

// With every extent, stride and origin below 2^31 no offset overflows 64 bits.
inline constexpr std::int64_t kMaxExtent = 0x7fffffff;

RESET_HOST_DEVICE constexpr Status invalid(const char* argument, std::int64_t value, const char* expectation) noexcept {
  return Status(StatusCode::kInvalidArgument, argument, value, expectation);
}

RESET_HOST_DEVICE constexpr Status validate(const FusedGlobalScales& global, std::int64_t rows) noexcept {
  static_assert(FusedGlobalScales::kMaxParts == 4, "each part has its names: a Status can only hold literals");
  constexpr const char* kFirstRows[] = {"global.parts[0].first_row", "global.parts[1].first_row",
                                        "global.parts[2].first_row", "global.parts[3].first_row"};
  constexpr const char* kScales[] = {"global.parts[0].scale", "global.parts[1].scale", "global.parts[2].scale",
                                     "global.parts[3].scale"};
  if (global.count < 1 || global.count > FusedGlobalScales::kMaxParts) {
    return invalid("global.count", global.count, "1..4");
  }
  for (int part = global.count; part < FusedGlobalScales::kMaxParts; ++part) {
    if (global.parts[part].first_row != 0) return invalid("global.count", global.count, "as many as parts are set");
  }
  if (global.parts[0].first_row != 0) return invalid(kFirstRows[0], global.parts[0].first_row, "0");
  for (int part = 0; part < global.count; ++part) {
    const FusedPart& current = global.parts[part];
    if (part > 0 && current.first_row <= global.parts[part - 1].first_row) {
      return invalid(kFirstRows[part], current.first_row, "more than the part before it");
    }
    if (current.first_row >= rows) return invalid(kFirstRows[part], current.first_row, "less than rows");
    if (!is_valid(current.scale)) {
      return Status(StatusCode::kInvalidArgument, kScales[part], static_cast<double>(current.scale.value),
                    "a positive, finite, normal float (it is 0 until it is set)");
    }
  }
  return Status();
}

template <class Byte>
RESET_HOST_DEVICE constexpr Status validate(const BasicBlockScaleView<Byte>& scale, std::int64_t blocks) noexcept {
  if (scale.data == nullptr) return invalid("block_scale.data", 0, "not null");
  if (scale.layout != ScaleLayout::kLinear && scale.layout != ScaleLayout::kSwizzled128x4) {
    return invalid("block_scale.layout", static_cast<int>(scale.layout), "0 (kLinear) or 1 (kSwizzled128x4)");
  }
  if (scale.row_origin < 0 || scale.row_origin > kMaxExtent) {
    return invalid("block_scale.row_origin", scale.row_origin, "0..2^31-1");
  }
  if (scale.block_origin < 0 || scale.block_origin > kMaxExtent) {
    return invalid("block_scale.block_origin", scale.block_origin, "0..2^31-1");
  }
  if (scale.stride > kMaxExtent) return invalid("block_scale.stride", scale.stride, "at most 2^31-1");
  if (scale.stride < blocks || scale.stride - blocks < scale.block_origin) {
    return invalid("block_scale.stride", scale.stride, "at least block_origin + cols / 16")
        .bounded(scale.block_origin + blocks);
  }
  if (scale.layout == ScaleLayout::kSwizzled128x4 && scale.stride % kScaleTileBlocks != 0) {
    return invalid("block_scale.stride", scale.stride, "a multiple of 4");
  }
  return Status();
}

}  // namespace detail

/// Whether a view is well formed: no null pointer, 1 <= rows, cols < 2^31, cols a multiple of 16, strides that hold a
/// row and are below 2^31 like the origins, global scales valid and their parts in order. It reads the view alone,
/// never the memory behind it.
template <class Byte>
RESET_HOST_DEVICE constexpr Status validate(const BasicNvfp4MatrixView<Byte>& view) noexcept {
  if (view.packed == nullptr)
    return detail::invalid("packed", 0,
                           "not null (as a slice is whose range is empty, beyond the matrix, or not by 16)");
  if (view.rows < 1 || view.rows > detail::kMaxExtent) return detail::invalid("rows", view.rows, "1..2^31-1");
  if (view.cols < 1 || view.cols > detail::kMaxExtent) return detail::invalid("cols", view.cols, "1..2^31-1");
  if (view.cols % kNvfp4BlockSize != 0) return detail::invalid("cols", view.cols, "a multiple of 16");
  if (view.row_stride < view.cols / 2) return detail::invalid("row_stride", view.row_stride, "at least cols / 2");
  if (view.row_stride > detail::kMaxExtent) return detail::invalid("row_stride", view.row_stride, "at most 2^31-1");
  const Status scale = detail::validate(view.block_scale, view.blocks());
  return scale.ok() ? detail::validate(view.global, view.rows) : scale;
}

/// Rows first .. first + count - 1 of a matrix, sharing its memory; the parts of the global scale move along. A range
/// that does not lie in the matrix gives an empty view, which `validate` refuses.
template <class Byte>
RESET_HOST_DEVICE constexpr BasicNvfp4MatrixView<Byte> row_slice(BasicNvfp4MatrixView<Byte> view, std::int64_t first,
                                                                 std::int64_t count) noexcept {
  if (first < 0 || count < 1 || first > view.rows - count) return {};
  const int first_part = view.global.part_of(first);
  const int last_part = view.global.part_of(first + count - 1);
  FusedGlobalScales global{};
  global.count = last_part - first_part + 1;
  for (int part = first_part; part <= last_part; ++part) {
    const FusedPart& source = view.global.parts[part];
    global.parts[part - first_part] = {part == first_part ? 0 : source.first_row - first, source.scale};
  }
  view.packed += first * view.row_stride;
  view.rows = count;
  view.block_scale.row_origin += first;
  view.global = global;
  return view;
}

/// Input features first_k .. first_k + count_k - 1 of a matrix, sharing its memory: a tensor-parallel shard. Both must
/// be multiples of 16; a range that is not, or does not lie in the matrix, gives an empty view, which `validate`
/// refuses.
template <class Byte>
RESET_HOST_DEVICE constexpr BasicNvfp4MatrixView<Byte> col_slice(BasicNvfp4MatrixView<Byte> view, std::int64_t first_k,
                                                                 std::int64_t count_k) noexcept {
  const bool aligned = first_k % kNvfp4BlockSize == 0 && count_k % kNvfp4BlockSize == 0;
  if (!aligned || first_k < 0 || count_k < 1 || first_k > view.cols - count_k) return {};
  view.packed += nibble_byte(first_k);
  view.cols = count_k;
  view.block_scale.block_origin += first_k / kNvfp4BlockSize;
  return view;
}

RESET_NAMESPACE_END
