/// @file
/// A warp's activations in registers, as the tensor core takes them: halves, whatever they were.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/decode.cuh>
#include <reset/gemv/detail/at_once.cuh>
#include <reset/gemv/detail/lane_places.hpp>
#include <reset/gemv/detail/load_words.cuh>
#include <reset/gemv/detail/magnitudes.cuh>
#include <reset/gemv/detail/scale_row.cuh>
#include <reset/gemv/detail/shared_memory.cuh>
#include <reset/gemv/policy.hpp>
#include <reset/gemv/problem.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

/// Eight bfloat16 times a power of two, twice in `factors`, as halves in the order of `pair_up`: the products are
/// exact, or too small for a half.
__device__ __forceinline__ HalfPairs moved_pairs(const HalfPairs& piece, std::uint32_t factors) {
  float low[4];
  float high[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    std::uint32_t moved;
    // A product alone exists from sm_90 on only; adding -0 changes nothing.
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(moved) : "r"(piece.pair[i]), "r"(factors), "r"(0x80008000u));
    low[i] = __uint_as_float(moved << 16);
    high[i] = __uint_as_float(moved & 0xffff0000u);
  }
  const auto pair = [](float a, float b) { return bits_of_half2(__floats2half2_rn(a, b)); };
#if RESET_HAS_E2M1_CONVERSION
  return {{pair(low[0], high[0]), pair(low[1], high[1]), pair(low[2], high[2]), pair(low[3], high[3])}};
#else
  return {{pair(low[0], low[2]), pair(low[1], low[3]), pair(high[0], high[2]), pair(high[1], high[3])}};
#endif
}

/// Pieces of a 16-bit token, which kLanes neighbouring lanes share, as halves in the order of `pair_up`. Bfloat16 fits
/// halves once a power of two has moved the largest magnitude of the warp's part of the token below 2^16; what is 2^-40
/// of that and less is lost. Returns what the token's sums are to be multiplied with then, kScaledUnit included: one
/// factor, for two could underflow in between.
template <int kLanes, int kPieces>
__device__ __forceinline__ float make_halves(HalfPairs (&pieces)[kPieces], ActivationType type) {
  if (type != ActivationType::kBf16) {
#pragma unroll
    for (HalfPairs& piece : pieces) piece = pair_up(piece.pair);
    return 1.0f;
  }
  std::uint32_t most = 0;
#pragma unroll
  for (const HalfPairs& piece : pieces) most = larger_magnitudes(most, piece);
  most = max(most & 0xffffu, most >> 16);
  if (kLanes == 32) {
    most = __reduce_max_sync(0xffffffffu, most);
  } else {
#pragma unroll
    for (int distance = kLanes / 2; distance > 0; distance /= 2) {
      most = max(most, __shfl_xor_sync(0xffffffffu, most, distance));
    }
  }
  const int exponent = static_cast<int>(most >> 7) - 127;
  const int shift = min(15 - exponent, 126);
  const std::uint32_t factors = __byte_perm(__float_as_uint(float_power_of_two(shift)), 0, 0x3232);
#pragma unroll
  for (HalfPairs& piece : pieces) piece = moved_pairs(piece, factors);
  constexpr int kUnitExponent = kScaledUnit == 1.0f ? 0 : 14;
  return float_power_of_two(kUnitExponent - shift);
}

/// Which activations a kernel is compiled for: the code for others would stand between what is run, and fetching
/// instructions is what a launch begins with.
enum class TokenKind : std::uint8_t { kAny, kNvfp4, kDense };

template <TokenKind kKind>
__device__ __forceinline__ bool tokens_are_nvfp4(ActivationType type) {
  return kKind == TokenKind::kNvfp4 || (kKind == TokenKind::kAny && type == ActivationType::kNvfp4);
}

/// Shared memory that loading a TokenFragment takes, beside the units of 8 tokens.
inline constexpr int kTokenScratchBytes = 2048;

/// 256 of K of up to 8 tokens on their way to a warp's fragment: of each half, four tokens' pieces a lane.
struct RawTokens {
  uint4 piece[2][4];

  /// Half a warp reads 256 neighbouring bytes of a token: lane by lane, as fragments have them, the loads would touch
  /// each sector four times. This is where a lane reads of its first token.
  __device__ __forceinline__ static const std::uint8_t* place(const ActivationView& x, int first_token, int unit,
                                                              int lane) {
    const std::int64_t place = unit * std::int64_t{2 * kUnitK} + lane % 16 * 16;
    return static_cast<const std::uint8_t*>(x.dense) + (place + (first_token + lane / 16) * x.row_stride * 2);
  }

  /// Of tokens beyond the last there is nothing.
  __device__ __forceinline__ void load(const ActivationView& x, const std::uint8_t* row, int first_token, int last,
                                       int lane) {
    const std::int64_t stride = x.row_stride * 2;
    const int token = first_token + lane / 16;
    std::int64_t ahead = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (token + i * 2 <= last) {  // nobody reads the place of another
        piece[0][i] = reinterpret_cast<const uint4*>(row + ahead)[0];
        piece[1][i] = reinterpret_cast<const uint4*>(row + ahead)[16];
      }
      ahead += stride * 2;
      asm("" : "+l"(ahead));  // lest the compiler multiply each token by the stride, for which loads would wait
    }
  }
};

/// Where a lane reads 256 of K of an NVFP4 token: its codes, and the scales of four blocks.
struct CodePlaces {
  const std::uint8_t* begin;  // of the token
  const std::uint8_t* scale[4];

  /// Of the chunks of 32 this one and the one half of the 256 further.
  __device__ __forceinline__ CodePlaces(const Nvfp4MatrixView& x, int token, int chunk)
      : begin(x.packed + token * x.row_stride) {
    const ScaleRow row(x.block_scale, token);
#pragma unroll
    for (int i = 0; i < 4; ++i) scale[i] = row.at((chunk + i / 2 * 4) * 2 + i % 2);
  }
};
__device__ __forceinline__ std::uint64_t known_bits(const CodePlaces& places) {
  std::uint64_t bits = known_bits(places.begin);
#pragma unroll
  for (const std::uint8_t* scale : places.scale) bits |= known_bits(scale);
  return bits;
}

/// 256 of K of an NVFP4 token a lane, the same token and the same elements as in its fragment, on their way there.
struct RawCodes {
  uint4 codes[2];              // of each half of the 256
  std::uint32_t scales[2][2];  // of each half, its two blocks

  /// `own`: 32 bytes of shared memory of the lane's own. Zeros beyond K.
  __device__ __forceinline__ void load(const CodePlaces& places, int alignment, int blocks, int chunk, uint4* own) {
    const std::uint8_t* begin = places.begin;
    if (alignment == 16 && (chunk + 5) * 2 <= blocks) {
      codes[0] = *reinterpret_cast<const uint4*>(begin + chunk * std::int64_t{16});
      codes[1] = *reinterpret_cast<const uint4*>(begin + chunk * std::int64_t{16} + 64);
    } else if (alignment >= 8) {
      uint2 block[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int index = chunk * 2 + i / 2 * 8 + i % 2;
        block[i] = index < blocks ? *reinterpret_cast<const uint2*>(begin + index * std::int64_t{8}) : make_uint2(0, 0);
      }
      codes[0] = make_uint4(block[0].x, block[0].y, block[1].x, block[1].y);
      codes[1] = make_uint4(block[2].x, block[2].y, block[3].x, block[3].y);
    } else {
      load_blocks(begin, alignment, blocks, chunk * 2, own);
      codes[0] = load_shared16<0>(shared_address(own));
      codes[1] = load_shared16<16>(shared_address(own));
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int block = (chunk + i / 2 * 4) * 2 + i % 2;
      scales[i / 2][i % 2] = block < blocks ? *places.scale[i] : 0u;
    }
  }

  /// Word `w` of eight, times its block scale.
  __device__ __forceinline__ HalfPairs word(int w) const {
    return scaled_pairs(word_of(codes[w / 4], w % 4), __low2half2(decode_scale_halves(scales[w / 4][w % 4 / 2])), {});
  }

 private:
  /// The codes of blocks first, first + 1, first + 8 and first + 9, zeros for those that there are not.
  __device__ __forceinline__ static void load_blocks(const std::uint8_t* begin, int alignment, int blocks, int first,
                                                     uint4* own) {
#pragma unroll 1
    for (int i = 0; i < 4; ++i) {
      const int block = first + i / 2 * 8 + i % 2;
      std::uint32_t words[2] = {0, 0};
      if (block < blocks) load_words(begin + block * std::int64_t{8}, alignment, false, words);
      const std::uint32_t place = shared_address(own) + static_cast<std::uint32_t>(i * 8);
      store_shared4(place, words[0]);
      store_shared4(place + 4, words[1]);
    }
  }
};

/// 256 of K of one token a lane: token l / 4, of each half of these the 32 neighbours that the lane owns of each row of
/// weights. Word w, 8 of them, goes with word w of the weights. Zeros beyond K.
struct TokenFragment {
  HalfPairs words[8];

  /// Tokens first_token .. first_token + 7, those beyond the last being the last again. Of bfloat16 it leaves in
  /// `units` what the sums of each are to be multiplied with. `scratch`: 2 KB of shared memory, for this warp alone
  /// like the units.
  template <TokenKind kKind, class Ready>
  __device__ __forceinline__ void load(const GemvProblem& problem, int alignment, int first_token, int unit, int lane,
                                       uint4* scratch, float* units, Ready ready) {
    const int last = static_cast<int>(problem.tokens) - 1;
    const int token = min(first_token + lane / 4, last);
    const int chunk = unit * (kUnitK / 32) + lane % 4;
    const bool inside = unit < problem.weights.cols / kUnitK;
    if (tokens_are_nvfp4<kKind>(problem.activations.type)) {
      const CodePlaces places(problem.activations.nvfp4, token, chunk);
      ready(places, alignment);
      RawCodes raw;
      raw.load(places, alignment, static_cast<int>(problem.weights.cols / 16), chunk, scratch + lane * 4);
      take(raw);
      return;
    }
    if (inside && alignment == 16) {
      if (last - first_token < 2) {
        load_few(problem.activations, first_token, last, unit, lane, scratch, units, ready);
        return;
      }
      const std::uint8_t* row = RawTokens::place(problem.activations, first_token, unit, lane);
      ready(row);
      RawTokens raw;
      raw.load(problem.activations, row, first_token, last, lane);
      hand_out(raw, first_token, last, lane, scratch);
    } else {
      ready(static_cast<const std::uint8_t*>(problem.activations.dense));
      load_pieces(problem, alignment, token, chunk, scratch + lane * 4);
    }
    make_all_halves(problem.activations.type, lane, units);
  }

  /// The same of a lane's codes that are here already.
  __device__ __forceinline__ void take(const RawCodes& raw) {
#pragma unroll
    for (int w = 0; w < 8; ++w) words[w] = raw.word(w);
  }

  /// The same of whole tokens that are here already.
  __device__ __forceinline__ void take(const RawTokens& raw, ActivationType type, int first_token, int last, int lane,
                                       uint4* scratch, float* units) {
    hand_out(raw, first_token, last, lane, scratch);
    make_all_halves(type, lane, units);
  }

 private:
  /// One token or two, each read by half a warp, which makes halves of it before shared memory hands them out:
  /// otherwise the lanes that share a token's values would all do the same work.
  template <class Ready>
  __device__ __forceinline__ void load_few(const ActivationView& x, int first_token, int last, int unit, int lane,
                                           uint4* scratch, float* units, Ready ready) {
    const int read = first_token + lane / 16;
    HalfPairs raw[2] = {};
    const auto* begin = static_cast<const std::uint8_t*>(x.dense) + read * x.row_stride * 2;
    const auto* row = reinterpret_cast<const uint4*>(begin + (unit * std::int64_t{2 * kUnitK} + lane % 16 * 16));
    ready(row);
    if (read <= last) {
      raw[0] = pairs_of(row[0]);
      raw[1] = pairs_of(row[16]);
    }
    const float own = make_halves<16>(raw, x.type);
    if (lane % 16 < 4) units[lane / 16 + lane % 16 * 2] = own;  // those beyond the last: of these two again
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const HalfPairs& pairs = raw[half];
      uint4& place = scratch[half * 32 + piece_place(lane / 16, lane % 16)];
      place = make_uint4(pairs.pair[0], pairs.pair[1], pairs.pair[2], pairs.pair[3]);
    }
    __syncwarp();
    const int first = piece_place(min(first_token + lane / 4, last) - first_token, lane % 4 * 4);
#pragma unroll
    for (int w = 0; w < 8; ++w) {
      words[w] = pairs_of(scratch[w / 4 * 32 + (first ^ w % 4)]);
    }
    __syncwarp();
  }

  __device__ __forceinline__ static HalfPairs pairs_of(const uint4& x) { return {{x.x, x.y, x.z, x.w}}; }

  /// Of the 8 tokens.
  __device__ __forceinline__ void make_all_halves(ActivationType type, int lane, float* units) {
    const float own = make_halves<4>(words, type);
    if (lane % 4 == 0) units[lane / 4] = own;
    __syncwarp();
  }

  /// Shared memory hands each lane its own.
  __device__ __forceinline__ void hand_out(const RawTokens& raw, int first_token, int last, int lane, uint4* scratch) {
    const int written = piece_place(lane / 16, lane % 16);
    const int read = piece_place(min(first_token + lane / 4, last) - first_token, lane % 4 * 4);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      __syncwarp();
#pragma unroll
      for (int i = 0; i < 4; ++i) scratch[i * 32 + written] = raw.piece[half][i];
      __syncwarp();
#pragma unroll
      for (int w = 0; w < 4; ++w) words[half * 4 + w] = pairs_of(scratch[read ^ w]);
    }
    __syncwarp();
  }

  /// Where K ends within the unit, or rows lie at odd places: pieces of 8 that a lane reads for itself.
  __device__ __forceinline__ void load_pieces(const GemvProblem& problem, int alignment, int token, int chunk,
                                              uint4* own) {
    const ActivationView& x = problem.activations;
    const auto* begin = static_cast<const std::uint8_t*>(x.dense) + token * x.row_stride * 2;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int first = (chunk + half * 4) * 32;
      uint4 pieces[4];
      if (alignment == 16) {
#pragma unroll
        for (int w = 0; w < 4; ++w) {
          const int k = first + w * 8;
          pieces[w] = k < problem.weights.cols ? *reinterpret_cast<const uint4*>(begin + std::int64_t{k} * 2)
                                               : make_uint4(0, 0, 0, 0);
        }
      } else {
        load_odd_pieces(begin, alignment, static_cast<int>(problem.weights.cols), first, own);
#pragma unroll
        for (int w = 0; w < 4; ++w) pieces[w] = own[w];
      }
#pragma unroll
      for (int w = 0; w < 4; ++w) words[half * 4 + w] = pairs_of(pieces[w]);
    }
  }

  /// The slow way, one piece after the other through memory of the lane's own: a loop that is not unrolled.
  __device__ __forceinline__ static void load_odd_pieces(const std::uint8_t* begin, int alignment, int cols, int first,
                                                         uint4* own) {
#pragma unroll 1
    for (int w = 0; w < 4; ++w) {
      const int k = first + w * 8;
      std::uint32_t parts[4] = {0, 0, 0, 0};
      if (k < cols) load_words(begin + std::int64_t{k} * 2, alignment, false, parts);
      own[w] = make_uint4(parts[0], parts[1], parts[2], parts[3]);
    }
  }
};

/// 256 of K of a token alone. The tensor core's eight columns are the blocks of 16 that the four lanes of a row of
/// weights own in each half of the 256, 2 q and 2 q + 1 those of lane q; a lane, whose column is l / 4, has the two
/// words of that block if it owns it, and zeros otherwise. Zeros beyond K.
struct TokenBlocks {
  HalfPairs words[2][2];  // [half][word of the block]
  float factor;           // of the sums

  /// `memory`: shared, for this warp alone.
  template <TokenKind kKind, class Ready>
  __device__ __forceinline__ void load(const GemvProblem& problem, int alignment, int unit, int lane, void* memory,
                                       Ready ready) {
    static_assert(32 * sizeof(uint4) <= tensor_warp_bytes(1), "the words find room");
    auto* scratch = static_cast<uint4*>(memory);
    const HalfPairs own = own_word<kKind>(problem, alignment, unit * (kUnitK / 8) + lane, ready);
    scratch[lane] = make_uint4(own.pair[0], own.pair[1], own.pair[2], own.pair[3]);
    __syncwarp();
    const int owner = lane / 8;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint4 word = scratch[i / 2 * 16 + owner * 4 + lane / 4 % 2 * 2 + i % 2];
      words[i / 2][i % 2] = owner == lane % 4 ? HalfPairs{{word.x, word.y, word.z, word.w}} : HalfPairs{};
    }
    __syncwarp();
  }

 private:
  /// Eight elements, those of word `word` of the token.
  template <TokenKind kKind, class Ready>
  __device__ __forceinline__ HalfPairs own_word(const GemvProblem& problem, int alignment, int word, Ready ready) {
    const ActivationView& x = problem.activations;
    const bool inside = word < problem.weights.cols / 8;
    factor = 1.0f;
    if (tokens_are_nvfp4<kKind>(x.type)) {
      const std::uint8_t* place = x.nvfp4.packed + word * std::int64_t{4};
      const std::uint8_t* scale = ScaleRow(x.nvfp4.block_scale, 0).at(word / 2);
      ready(place, scale, alignment);
      if (!inside) return {};
      std::uint32_t codes[1];
      load_words(place, alignment, false, codes);
      return scaled_pairs(codes[0], __low2half2(decode_scale_halves(*scale)), {});
    }
    std::uint32_t parts[4] = {0, 0, 0, 0};
    const auto* begin = static_cast<const std::uint8_t*>(x.dense) + word * std::int64_t{16};
    ready(begin, alignment);
    if (inside) load_words(begin, alignment, false, parts);
    HalfPairs raw[1] = {{{parts[0], parts[1], parts[2], parts[3]}}};
    factor = make_halves<32>(raw, x.type);
    return raw[0];
  }
};

}  // namespace detail
RESET_NAMESPACE_END
