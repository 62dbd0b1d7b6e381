#include <reset/sampler/entropy.hpp>

#include <cmath>
#include <vector>

#include "sampler_support.hpp"
#include "support/catch.hpp"

using reset::BFloat16;
using reset::EntropyPartial;
using reset::Half;
using reset::RowStatistics;
using reset::RowStatus;
using sampler_test::kInfinity;
using sampler_test::kNaN;
using sampler_test::make_row;

namespace {

template <class T>
RowStatistics statistics(const T* row, std::size_t columns) {
  std::vector<EntropyPartial> scratch(reset::chunk_count(columns));
  return reset::row_statistics(row, columns, scratch.data());
}

RowStatistics statistics(const std::vector<float>& row) { return statistics(row.data(), row.size()); }

double found_entropy(const std::vector<float>& row) {
  const RowStatistics result = statistics(row);
  REQUIRE(result.status == RowStatus::kOk);
  return reset::entropy(result.partial);
}

void check_entropy(const std::vector<float>& row) {
  const double expected = sampler_test::oracle_entropy(row);
  const double found = found_entropy(row);
  CAPTURE(expected, found, row.size());
  CHECK(std::abs(found - expected) <= 1e-6 * std::max(1.0, expected));
  CHECK(found >= 0.0);
}

bool same(const EntropyPartial& a, const EntropyPartial& b) {
  return a.sum == b.sum && a.weighted_sum == b.weighted_sum && a.max == b.max;
}

constexpr std::size_t kVocabulary = 151936;

}  // namespace

TEST_CASE("entropy: rows as models make them are within 1e-6 of double precision") {
  unsigned seed = 1;
  for (const float spread : {0.1f, 1.0f, 2.5f, 6.0f}) {
    for (const float height : {0.0f, 10.0f, 20.0f, 40.0f})
      check_entropy(make_row(kVocabulary, seed++, spread, 5, height));
  }
  for (const std::size_t columns : {1u, 2u, 7u, 16u, 1023u, 1024u, 1025u, 2048u, 5000u}) {
    check_entropy(make_row(columns, seed++, 3.0f, 1, 8.0f));
  }
}

TEST_CASE("entropy: small equal terms beside a peak do not stagnate") {
  // All tail terms round alike, the worst case of a running float sum.
  for (const float depth : {7.3f, 11.937f, 12.7f, 15.1f, 17.9f, 25.3f}) {
    std::vector<float> row(kVocabulary, 3.1f - depth);
    row[70000] = 3.1f;
    check_entropy(row);
  }
}

TEST_CASE("entropy: a uniform row has log V") {
  for (const float level : {0.0f, -17.25f, 3e4f}) {
    const double h = found_entropy(std::vector<float>(kVocabulary, level));
    CHECK(std::abs(h - std::log(static_cast<double>(kVocabulary))) <= 1e-12);
  }
  CHECK(found_entropy({4.0f, 4.0f}) == std::log(2.0));
}

TEST_CASE("entropy: one finite token has none, exactly") {
  for (const float level : {0.0f, -3e38f, 3e38f, 1e-40f, -1e4f}) {
    std::vector<float> row(3000, -kInfinity);
    row[2100] = level;
    CHECK(found_entropy(row) == 0.0);
  }
  CHECK(found_entropy({-12.5f}) == 0.0);
}

TEST_CASE("entropy: extreme but finite logits") {
  check_entropy({1e4f, -1e4f, 1e4f, 9999.0f});
  check_entropy({65504.0f, 65504.0f, -65504.0f});
  check_entropy({3.4e38f, -3.4e38f, 3.4e38f});
  check_entropy({1e-40f, -1e-40f, 0.0f});
  std::vector<float> wide = make_row(4000, 3, 4000.0f, 0, 0.0f);
  check_entropy(wide);
  // e^-100 is below the smallest float: such probabilities count as zero and poison nothing.
  std::vector<float> subnormal(5000, -100.0f);
  subnormal[17] = 0.0f;
  check_entropy(subnormal);
  std::vector<float> border(5000, -87.9f);
  border[4999] = 0.0f;
  check_entropy(border);
}

TEST_CASE("entropy: masked tokens are as if they were not there") {
  std::vector<float> row = make_row(6000, 9, 2.0f, 3, 9.0f);
  std::vector<float> kept;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i % 3 == 1 || (i >= 1024 && i < 3072)) {
      row[i] = -kInfinity;
    } else {
      kept.push_back(row[i]);
    }
  }
  check_entropy(row);
  CHECK(std::abs(found_entropy(row) - sampler_test::oracle_entropy(kept)) <= 1e-5);
}

TEST_CASE("entropy: bad rows are recognised wherever the bad value stands") {
  for (const std::size_t at : {0u, 5u, 1023u, 1024u, 2999u}) {
    std::vector<float> row = make_row(3000, 4, 2.0f, 0, 0.0f);
    row[at] = kNaN;
    CHECK(statistics(row).status == RowStatus::kNaN);
    row[at] = reset::detail::float_from_bits(0xffc01234u);  // a negative NaN
    CHECK(statistics(row).status == RowStatus::kNaN);
    row[at] = reset::detail::float_from_bits(0x7f800001u);  // a signalling one
    CHECK(statistics(row).status == RowStatus::kNaN);
    row[at] = kInfinity;
    CHECK(statistics(row).status == RowStatus::kPositiveInfinity);
    row[(at + 100) % 3000] = kNaN;
    CHECK(statistics(row).status == RowStatus::kNaN);
    row[(at + 100) % 3000] = -kInfinity;
    row[at] = 0.0f;
    CHECK(statistics(row).status == RowStatus::kOk);
  }
  const RowStatistics masked = statistics(std::vector<float>(3000, -kInfinity));
  CHECK(masked.status == RowStatus::kEmpty);
  CHECK(masked.partial.empty());
  CHECK(reset::detail::is_nan(reset::entropy(masked.partial)));
  CHECK(statistics(std::vector<float>{}).status == RowStatus::kEmpty);
}

TEST_CASE("entropy: merging an empty partial is the identity, and order does not matter") {
  const RowStatistics a = statistics(make_row(900, 1, 2.0f, 1, 5.0f));
  const RowStatistics b = statistics(make_row(700, 2, 2.0f, 1, 9.0f));
  CHECK(same(merge(a.partial, EntropyPartial{}), a.partial));
  CHECK(same(merge(EntropyPartial{}, a.partial), a.partial));
  CHECK(merge(EntropyPartial{}, EntropyPartial{}).empty());
  CHECK(same(merge(a.partial, b.partial), merge(b.partial, a.partial)));
  CHECK(reset::merge_tree(nullptr, 0).empty());
}

TEST_CASE("entropy: any split of the chunks into aligned groups gives the same bits") {
  const std::vector<float> row = make_row(kVocabulary, 21, 2.5f, 8, 14.0f);
  const EntropyPartial whole = statistics(row).partial;
  const std::size_t chunks = reset::chunk_count(row.size());
  std::vector<float> padded(chunks * reset::kEntropyChunk, -kInfinity);
  std::copy(row.begin(), row.end(), padded.begin());
  for (const std::size_t group : {1u, 2u, 4u, 16u, 64u, 128u, 256u}) {
    std::vector<EntropyPartial> roots;
    // Last group first: the order in which groups finish is of no account.
    for (std::size_t begin = (chunks - 1) / group * group;; begin -= group) {
      std::vector<EntropyPartial> parts;
      for (std::size_t c = begin; c < std::min(chunks, begin + group); ++c) {
        parts.push_back(reset::chunk_statistics(&padded[c * reset::kEntropyChunk]).partial);
      }
      roots.insert(roots.begin(), reset::merge_tree(parts.data(), parts.size()));
      if (begin == 0) break;
    }
    CHECK(same(reset::merge_tree(roots.data(), roots.size()), whole));
  }
}

TEST_CASE("entropy: rows at any address and of any type give the same bits as their float values") {
  const std::vector<float> source = make_row(5000, 5, 2.0f, 3, 10.0f);
  std::vector<BFloat16> brain(5001);
  std::vector<float> rounded(5000), shifted(5001);
  for (std::size_t i = 0; i < 5000; ++i) {
    brain[i + 1] = sampler_test::to_bfloat16(source[i]);
    rounded[i] = shifted[i + 1] = to_float(brain[i + 1]);
  }
  const EntropyPartial expected = statistics(rounded).partial;
  CHECK(same(statistics(shifted.data() + 1, 5000).partial, expected));
  CHECK(same(statistics(brain.data() + 1, 5000).partial, expected));
  check_entropy(rounded);
}

TEST_CASE("entropy: half and bfloat16 become floats exactly, every one of them") {
  long mismatches = 0;
  for (std::uint32_t code = 0; code < 65536; ++code) {
    const Half half{static_cast<std::uint16_t>(code)};
    const int exponent = static_cast<int>(code >> 10 & 31);
    const double sign = (code & 0x8000u) != 0 ? -1.0 : 1.0;
    const float found = to_float(half);
    if (exponent == 31) {
      const bool nan = (code & 1023u) != 0;
      mismatches += (nan ? reset::detail::is_nan(found) : reset::detail::is_inf(found)) ? 0 : 1;
    } else {
      const double significand = static_cast<double>((code & 1023u) + (exponent > 0 ? 1024u : 0u));
      const double value = sign * std::ldexp(significand, std::max(exponent, 1) - 25);
      mismatches += static_cast<double>(found) == value ? 0 : 1;
    }
    mismatches += reset::detail::bits_of(found) >> 31 == code >> 15 ? 0 : 1;
    const BFloat16 brain{static_cast<std::uint16_t>(code)};
    mismatches += reset::detail::bits_of(to_float(brain)) == code << 16 ? 0 : 1;
  }
  CHECK(mismatches == 0);
  STATIC_REQUIRE(to_float(Half{0x3c00}) == 1.0f);
}

TEST_CASE("entropy: the exponential and the logarithm are as accurate as they say") {
  double worst_fast = 0.0, worst_exp = 0.0, worst_log = 0.0, worst_log1m = 0.0;
  for (int i = 0; i <= 200000; ++i) {
    const float x = -static_cast<float>(i) * 4.3665e-4f;  // down to where the normal floats end
    const double exact = std::exp(static_cast<double>(x));
    const double bound = 2.5e-7 + 8e-8 * static_cast<double>(-x);
    worst_fast =
        std::max(worst_fast, std::abs(static_cast<double>(reset::detail::exp_nonpositive(x)) / exact - 1.0) / bound);
    const double y = static_cast<double>(i) * -3e-3;
    worst_exp = std::max(worst_exp, std::abs(reset::detail::exact_exp(y) / std::exp(y) - 1.0));
    const double z = std::exp(static_cast<double>(i - 100000) * 4e-3);
    const double log_z = std::log(z);
    worst_log = std::max(worst_log, std::abs(reset::detail::exact_log(z) - log_z) / std::max(std::abs(log_z), 0.25));
    const double v = std::ldexp(static_cast<double>(i % 4001 + 1) / 4002.0, -(i % 66));
    const double log1m = -std::log1p(-v);
    worst_log1m = std::max(worst_log1m, std::abs(reset::detail::exact_minus_log1m(v) / log1m - 1.0));
  }
  CHECK(worst_fast <= 1.0);
  // A vectorised library under fast-math errs by 4 ulp itself.
  CHECK(worst_exp <= 2e-15);
  CHECK(worst_log <= 2e-15);
  CHECK(worst_log1m <= 2e-15);
  // Beyond the normal floats little is promised, by bits: some processors read subnormals as zero.
  std::uint32_t largest = 0;
  for (float x = -87.337f; x > -90.0f; x -= 1e-4f) {
    largest = std::max(largest, reset::detail::bits_of(reset::detail::exp_nonpositive(x)));
  }
  CHECK(largest <= reset::detail::bits_of(0x1p-126f));
  CHECK(reset::detail::exp_nonpositive(-88.03f) == 0.0f);
  CHECK(reset::detail::exp_nonpositive(0.0f) == 1.0f);
  CHECK(reset::detail::exp_nonpositive(-kInfinity) == 0.0f);
  CHECK(reset::detail::exp_nonpositive(-90.0f) == 0.0f);
  CHECK(reset::detail::exact_exp(0.0) == 1.0);
  CHECK(reset::detail::exact_exp(-1e9) == 0.0);
}
