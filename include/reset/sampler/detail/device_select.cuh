/// @file
/// The exact slow path of truncation: the logit, and then the token, by which top-k and top-p cut, digit by digit over
/// the whole row, where no guess lists what is kept, or more tokens are kept than a list holds.
#pragma once

#include <cstdint>
#include <type_traits>

#include <reset/sampler/detail/device_histogram.cuh>
#include <reset/sampler/detail/device_mass.cuh>
#include <reset/sampler/detail/device_walk.cuh>
#include <reset/sampler/sampler_types.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

inline constexpr std::int32_t kListLength = 2048;

/// Candidates in shared memory.
struct ListRoom {
  union {
    std::uint64_t key[kListLength];
    Histogram bins;  // where the list is of no use
  };
  std::int32_t chunk[kSamplerThreads];
  std::int32_t chunks;
  std::int32_t listed;
};

/// What is summed over tokens: their number, or their weight.
struct CountAmount {
  static constexpr int kPieces = 1;
  __device__ __forceinline__ std::uint64_t operator()(float) const { return 1; }
};
struct MassAmount {
  static constexpr int kPieces = Histogram::kPieces;
  MassScale scale;
  __device__ __forceinline__ std::uint64_t operator()(float x) const { return token_mass(x, scale); }
};

/// Where in the order of logits a sum over the tokens, the best first, reaches what is needed.
struct LogitCut {
  float logit;
  double need;  // of its tokens
  bool found;   // the whole row does not reach it if not
};

/// Whether 8 bits of the order of logits of type T are always zeros: low bits of what has 16.
template <class T>
static __device__ __forceinline__ constexpr bool is_zero_digit(int shift) {
  return sizeof(T) == 2 && (shift == 0 || (shift == 8 && std::is_same_v<T, BFloat16>));
}

/// Sums by the 8 bits from `shift` on of the logits' order, over the tokens that reach `floor` and have `prefix` above
/// those bits: the thread's bin.
template <int kPieces, class T, class Amount>
static __device__ __forceinline__ std::uint64_t sum_by_digit(const DeviceRow<T>& row, const KeyFloor& floor,
                                                             std::uint32_t prefix, int shift, const Amount& amount,
                                                             Histogram& bins) {
  clear_bins<kPieces>(bins);
  for_each_logit(row, 0, row.columns, [&](float x, std::int32_t id) {
    const std::uint32_t digits = (static_cast<std::uint32_t>(signed_order(x)) ^ 0x80000000u) >> shift;
    if (!floor.reached(x, id) || digits >> 8 != prefix) return;
    add_to_bin<kPieces>(bins, static_cast<int>(digits & 255u), amount(x));
  });
  __syncthreads();
  return sum_of_bin<kPieces>(bins, bin_of_thread());
}

/// The logit at which the sum of `amount(x)` reaches `need`, among tokens whose key is at least `cut`: four digits of
/// 8 bits, the sums of each from one pass over the row.
template <class T, class Amount>
static __device__ __noinline__ LogitCut search_logit(const DeviceRow<T> row, std::uint64_t cut, double need,
                                                     const Amount amount, Histogram& bins, ReductionRoom& room) {
  const KeyFloor floor(cut);
  const auto number = [](std::uint32_t digits) {
    return number_of_signed(static_cast<std::int32_t>(digits ^ 0x80000000u));
  };
  std::uint32_t prefix = 0;
#pragma unroll 1
  for (int shift = 24; shift >= 0; shift -= 8) {
    if (is_zero_digit<T>(shift)) {
      prefix <<= 8;
      continue;
    }
    std::uint64_t own = 0;
    if (shift == 0 || is_zero_digit<T>(shift - 8)) {
      // A bin's tokens have one logit: counting them is cheaper.
      own = sum_by_digit<1>(row, floor, prefix, shift, CountAmount(), bins);
      own *= amount(number((prefix << 8 | static_cast<std::uint32_t>(bin_of_thread())) << shift));
    } else {
      own = sum_by_digit<Amount::kPieces>(row, floor, prefix, shift, amount, bins);
    }
    const Crossing crossing = find_crossing(own, need, room);
    if (crossing.bin < 0 && shift == 24) return {float_from_bits(0xff800000u), need, false};
    need -= static_cast<double>(crossing.above);
    // Behind the first digit that takes rounding: then all that share the digits are needed.
    prefix = prefix << 8 | static_cast<std::uint32_t>(max(crossing.bin, 0));
  }
  return {number(prefix), need, true};
}

/// The key of the token at which it does, or `cut` if it does at none.
template <class T, class Amount>
static __device__ __noinline__ std::uint64_t search_token(const DeviceRow<T> row, std::uint64_t cut,
                                                          const LogitCut found, const Amount amount, Histogram& bins,
                                                          ReductionRoom& room) {
  if (!found.found) return cut;
  // The tokens of one logit have one amount: so many of them are needed, the lowest ids first.
  const auto each = static_cast<double>(amount(found.logit));
  double need = each > 0.0 ? ceil(found.need / each) : 0x1p30;
  const KeyFloor floor(cut);
  const std::int32_t order = signed_order(found.logit);
  std::uint32_t prefix = 0;  // of the ids' complements in 18 bits, in digits of 8, 8 and 2
  int begin = 0;
  int end = row.columns;
#pragma unroll 1
  for (int shift = 10; shift >= 0; shift = shift == 10 ? 2 : shift - 2) {
    const int width = shift == 0 ? 2 : 8;
    clear_bins<1>(bins);
    for_each_logit(row, begin, end, [&](float x, std::int32_t id) {
      const std::uint32_t digits = (0x3ffffu - static_cast<std::uint32_t>(id)) >> shift;
      if (signed_order(x) != order || !floor.reached(x, id) || digits >> width != prefix) return;
      add_to_bin<1>(bins, static_cast<int>(digits & ((1u << width) - 1)), 1);
    });
    __syncthreads();
    const Crossing crossing = find_crossing(sum_of_bin<1>(bins, bin_of_thread()), need, room);
    need -= static_cast<double>(crossing.above);
    prefix = prefix << width | static_cast<std::uint32_t>(max(crossing.bin, 0));
    begin = static_cast<int>(0x3ffffu - (prefix << shift) - ((1u << shift) - 1)) & ~7;
    end = begin + max(1 << shift, 8);
  }
  return candidate_key(found.logit, static_cast<std::int32_t>(0x3ffffu - prefix));
}

/// The mass that top-p asks for: the first token is kept, whatever p is.
static __device__ __forceinline__ double needed_mass(float top_p, double total) {
  const double need = static_cast<double>(top_p) * total;
  return need > 1.0 ? need : 1.0;
}

/// What a row is cut by.
struct SelectRule {
  const SamplingParams& sampling;
  bool by_count;
  bool by_mass;
  double total;    // of the row, where it is cut by mass alone
  double nearest;  // how far below the maximum min-p reaches
  MassScale scale;
};

/// The first of the searches, for the logit by which top-k or, without it, top-p cuts.
template <class T>
static __device__ __forceinline__ LogitCut search_first(const DeviceRow<T>& row, const SelectRule& rule,
                                                        Histogram& bins, ReductionRoom& room) {
  if (rule.by_count) {
    return search_logit(row, 0, static_cast<double>(rule.sampling.top_k), CountAmount(), bins, room);
  }
  return search_logit(row, 0, needed_mass(rule.sampling.top_p, rule.total), MassAmount{rule.scale}, bins, room);
}

/// The lowest key that is kept; `first` is what `search_first` has found.
template <class T>
static __device__ __noinline__ std::uint64_t select_cut(const DeviceRow<T> row, const SelectRule& rule,
                                                        const LogitCut first, Histogram& bins, ReductionRoom& room) {
  std::uint64_t cut = 0;
  if (rule.by_count) cut = search_token(row, 0, first, CountAmount(), bins, room);
  if (rule.by_mass) {
    const MassAmount mass{rule.scale};
    LogitCut search = first;
    if (rule.by_count) {
      const auto total = static_cast<double>(total_mass(row, cut, rule.scale, room));
      search = search_logit(row, cut, needed_mass(rule.sampling.top_p, total), mass, bins, room);
    }
    cut = search_token(row, cut, search, mass, bins, room);
  }
  if (rule.sampling.min_p > 0.0f) {
    const KeyFloor floor(cut);
    std::uint64_t lowest = ~std::uint64_t{0};
    for_each_logit(row, 0, row.columns, [&](float x, std::int32_t id) {
      const bool near = floor.reached(x, id) && add_rn(widen(x), -widen(rule.scale.max)) >= rule.nearest;
      const std::uint64_t key = candidate_key(x, id);
      lowest = near && key < lowest ? key : lowest;
    });
    cut = block_reduce(
        lowest, [](std::uint64_t a, std::uint64_t b) { return a < b ? a : b; }, room);
  }
  return cut;
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
