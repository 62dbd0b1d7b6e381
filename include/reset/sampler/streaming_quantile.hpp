/// @file
/// Quantiles of H_t while an engine runs: tau_0 calibrated online, by exact counts in fixed bins.
#pragma once

#include <cstdint>
#include <type_traits>

#include <reset/detail/rounding.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// Counts entropies (nats) in fixed bins and tells their quantiles: of one slot, or shared by all.
///
/// The counts are exact, so the same entropies give the same state in whatever order, on however many threads and
/// however often merged they arrive; host and device agree to the bit. A default one is empty, and assigning one
/// resets. Trivially copyable, 7,184 bytes, meaningful byte by byte (zeroed memory is an empty one): copy it out to
/// save it.
///
/// Bins: 64 to an octave from 2^-10 to 16, one below for [0, 2^-10), one above for 16 and more, which no vocabulary
/// below 8.8 million tokens reaches.
struct StreamingQuantile {
  static constexpr int kBins = 2 + 14 * 64;  ///< Below 2^-10; fourteen octaves of 64; 16 and more.

  std::uint64_t counts[kBins] = {};  ///< Entropies in each bin, lowest first.

  /// The bin of an entropy; -1 for what is none and is not counted: NaN, infinities and numbers below 0.
  RESET_HOST_DEVICE static constexpr int bin_of(float entropy) noexcept {
    const std::uint32_t bits = detail::bits_of(entropy);
    if (!detail::is_finite(entropy) || bits > kNegativeZero) return -1;
    if (bits < kFirst || bits == kNegativeZero) return 0;
    return bits < kLast ? 1 + static_cast<int>((bits - kFirst) >> kShift) : kBins - 1;
  }

  /// What an entropy in this bin is taken for: the middle, and 16 in the last.
  RESET_HOST_DEVICE static constexpr float bin_value(int bin) noexcept {
    if (bin == 0) return 0x1p-11f;
    if (bin == kBins - 1) return 16.0f;
    return detail::float_from_bits(kFirst + (static_cast<std::uint32_t>(2 * bin - 1) << (kShift - 1)));
  }

  /// Counts an entropy, if it is one. For one writer at a time.
  RESET_HOST_DEVICE constexpr void add(float entropy) noexcept {
    const int bin = bin_of(entropy);
    if (bin >= 0) ++counts[bin];
  }

  /// The same by an atomic addition: any number of threads of one device, or of the host, may add at once.
  RESET_HOST_DEVICE void add_shared(float entropy) noexcept {
    const int bin = bin_of(entropy);
    if (bin < 0) return;
#if defined(__CUDA_ARCH__)
    atomicAdd(reinterpret_cast<unsigned long long*>(&counts[bin]), 1ull);
#else
    __atomic_fetch_add(&counts[bin], std::uint64_t{1}, __ATOMIC_RELAXED);
#endif
  }

  /// Adds the counts of another: as if its entropies had been added here.
  RESET_HOST_DEVICE constexpr void merge(const StreamingQuantile& other) noexcept {
    for (int bin = 0; bin < kBins; ++bin) counts[bin] += other.counts[bin];
  }

  /// Entropies counted.
  RESET_HOST_DEVICE constexpr std::uint64_t count() const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t n : counts) sum += n;
    return sum;
  }

  /// The quantile q (0..1; tau_0 is published at 0.8) of what was counted, interpolated between ranks as
  /// `tau0_from_entropies` does, whose result it meets to within 2^-7 of it plus 2^-11 nats as long as no entropy
  /// reaches 16 (those count as 16). Refused, with `value` left alone, if `q` is outside 0..1 or nothing was counted.
  RESET_HOST_DEVICE Status quantile(double q, float& value) const noexcept {
    if (!detail::is_finite(q) || q < 0.0 || q > 1.0) return {StatusCode::kInvalidArgument, "q", q, "0..1"};
    const std::uint64_t n = count();
    if (n == 0) return {StatusCode::kInvalidArgument, "count()", 0, "at least 1"};
    const double rank = detail::mul_rn(q, static_cast<double>(n - 1));
    const auto below = static_cast<std::uint64_t>(rank);
    const double share = detail::add_rn(rank, -static_cast<double>(below));
    const double low = static_cast<double>(bin_value(bin_of_rank(below)));
    const double high = static_cast<double>(bin_value(bin_of_rank(below + 1 < n ? below + 1 : below)));
    value = static_cast<float>(detail::add_rn(low, detail::mul_rn(share, detail::add_rn(high, -low))));
    return {};
  }

 private:
  static constexpr std::uint32_t kFirst = 0x3a800000u;  // 2^-10, by its bits
  static constexpr std::uint32_t kLast = 0x41800000u;   // 16
  static constexpr std::uint32_t kNegativeZero = 0x80000000u;
  static constexpr int kShift = 23 - 6;  // of the 23 bits of a float's mantissa, 6 choose among the bins of an octave

  // The bin that holds the entropy of this rank, counted from 0 in ascending order.
  RESET_HOST_DEVICE constexpr int bin_of_rank(std::uint64_t rank) const noexcept {
    int bin = 0;
    for (std::uint64_t seen = counts[0]; seen <= rank && bin + 1 < kBins; seen += counts[bin]) ++bin;
    return bin;
  }
};

static_assert(std::is_trivially_copyable_v<StreamingQuantile> && sizeof(StreamingQuantile) == 7184);

RESET_NAMESPACE_END
