/// @file
/// The body of the host mat-vec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include <reset/config.hpp>
#include <reset/detail/rounding.hpp>
#include <reset/nvfp4/detail/host_lanes.hpp>
#include <reset/nvfp4/layout.hpp>
#include <reset/nvfp4/matrix.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Blocks along K that are decoded at a time, and summed before the sum goes to y.
inline constexpr int kHostTileBlocks = 64;
/// Tokens that share one decoding of the weights.
inline constexpr std::int64_t kHostTokens = 16;

/// The block scales of one row of a linear tensor, from one block on.
class LinearScales {
 public:
  LinearScales(const BlockScaleView& scale, std::int64_t row, std::int64_t first_block) noexcept
      : codes_(scale.data + scale.offset(row, first_block)) {}
  float operator()(std::int64_t b) const noexcept { return kE4M3Table.value[codes_[b]]; }

 private:
  const std::uint8_t* codes_;
};

/// The block scales of one row of a swizzled tensor, from one block on.
class SwizzledScales {
 public:
  SwizzledScales(const BlockScaleView& scale, std::int64_t row, std::int64_t first_block) noexcept
      : codes_(scale.data + scale_offset(scale.layout, scale.stride, scale.row_origin + row, 0)),
        first_(static_cast<std::uint64_t>(scale.block_origin + first_block)) {}
  float operator()(std::int64_t b) const noexcept {
    const std::uint64_t block = first_ + static_cast<std::uint64_t>(b);
    return kE4M3Table.value[codes_[block / kScaleTileBlocks * kScaleTileBytes + block % kScaleTileBlocks]];
  }

 private:
  const std::uint8_t* codes_;
  std::uint64_t first_;
};

/// Sums over one tile for as many tokens as there are indices; `weights(b)` gives the lanes of block b.
template <class Lanes, class Weights, std::size_t... kToken>
inline void dot_tile(Weights weights, int blocks, const float* x, std::int64_t ldx, float* sums,
                     std::index_sequence<kToken...>) noexcept {
  Lanes accumulators[] = {(static_cast<void>(kToken), Lanes::zero())...};
  for (int b = 0; b < blocks; ++b) {
    const Lanes w = weights(b);
    const float* block = x + b * kNvfp4BlockSize;
    (accumulators[kToken].add_product(w, Lanes::load(block + static_cast<std::int64_t>(kToken) * ldx)), ...);
  }
  ((sums[kToken] = accumulators[kToken].sum()), ...);
}

/// The same for 1 to kTokens tokens, a number known at run time.
template <class Lanes, int kTokens, class Weights>
inline void dot_group(Weights weights, int blocks, const float* x, std::int64_t ldx, std::int64_t tokens,
                      float* sums) noexcept {
  if constexpr (kTokens > 1) {
    if (tokens < kTokens) return dot_group<Lanes, kTokens - 1>(weights, blocks, x, ldx, tokens, sums);
  }
  dot_tile<Lanes>(weights, blocks, x, ldx, sums, std::make_index_sequence<static_cast<std::size_t>(kTokens)>());
}

/// Sums of `blocks` blocks of one row for up to kHostTokens tokens; the weights are decoded once.
template <class Lanes, class Scales>
inline void dot_tile(const std::uint8_t* packed, Scales scales, int blocks, const float* x, std::int64_t ldx,
                     std::int64_t tokens, float* sums) noexcept {
  const auto decode = [packed, scales](int b) { return Lanes::decode(packed + b * 8, scales(b)); };
  if (tokens <= Lanes::kTokens) return dot_group<Lanes, Lanes::kTokens>(decode, blocks, x, ldx, tokens, sums);
  float decoded[kHostTileBlocks * kNvfp4BlockSize];
  for (int b = 0; b < blocks; ++b) decode(b).store(decoded + b * kNvfp4BlockSize);
  const auto load = [&decoded](int b) { return Lanes::load(decoded + b * kNvfp4BlockSize); };
  for (std::int64_t m = 0; m < tokens; m += Lanes::kTokens) {
    const std::int64_t left = tokens - m < Lanes::kTokens ? tokens - m : Lanes::kTokens;
    dot_group<Lanes, Lanes::kTokens>(load, blocks, x + m * ldx, ldx, left, sums + m);
  }
}

/// One tile of one row for up to kHostTokens tokens: y = sums for the first tile of a row, y += sums for the others.
template <class Lanes, class Scales>
inline void add_tile(const Nvfp4MatrixView& view, std::int64_t row, std::int64_t first_block, const float* x,
                     std::int64_t ldx, std::int64_t tokens, float* y, std::int64_t ldy) noexcept {
  const std::int64_t left = view.blocks() - first_block;
  const int blocks = left < kHostTileBlocks ? static_cast<int>(left) : kHostTileBlocks;
  const std::int64_t k = first_block * kNvfp4BlockSize;
  float sums[kHostTokens];
  dot_tile<Lanes>(view.packed + row * view.row_stride + nibble_byte(k), Scales(view.block_scale, row, first_block),
                  blocks, x + k, ldx, tokens, sums);
  const float global = view.global.at(row).value;
  for (std::int64_t m = 0; m < tokens; ++m) {
    float& out = y[m * ldy + row];
    const float part = hide(sums[m] * global);
    out = first_block == 0 ? part : hide(out + part);
  }
}

/// Up to kHostTokens tokens against rows row_begin .. row_end - 1.
template <class Lanes, class Scales>
void gemv_tokens(const Nvfp4MatrixView& view, const float* x, std::int64_t tokens, std::int64_t ldx, float* y,
                 std::int64_t ldy, std::int64_t row_begin, std::int64_t row_end) noexcept {
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    for (std::int64_t block = 0; block < view.blocks(); block += kHostTileBlocks) {
      add_tile<Lanes, Scales>(view, row, block, x, ldx, tokens, y, ldy);
    }
  }
}

inline Status validate_gemv(const Nvfp4MatrixView& view, const void* x, std::int64_t tokens, std::int64_t ldx,
                            const void* y, std::int64_t ldy) noexcept {
  const Status status = validate(view);
  if (!status.ok()) return status;
  if (x == nullptr) return invalid("x", 0, "not null");
  if (y == nullptr) return invalid("y", 0, "not null");
  if (tokens < 1) return invalid("M", tokens, "1 or more");
  if (tokens > 1 && ldx < view.cols) return invalid("ldx", ldx, "at least cols");
  if (tokens > 1 && ldy < view.rows) return invalid("ldy", ldy, "at least rows");
  return Status();
}

}  // namespace detail
RESET_NAMESPACE_END
