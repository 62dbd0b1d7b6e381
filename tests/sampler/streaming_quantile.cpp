#include <reset/sampler/streaming_quantile.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include <reset/sampler/calibrate.hpp>

#include "sampler_support.hpp"
#include "support/catch.hpp"

using reset::StreamingQuantile;

namespace {

StreamingQuantile count(const std::vector<float>& entropies) {
  StreamingQuantile result;
  for (const float entropy : entropies) result.add(entropy);
  return result;
}

bool same(const StreamingQuantile& a, const StreamingQuantile& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

float quantile(const StreamingQuantile& counted, double q) {
  float value = -1.0f;
  REQUIRE(counted.quantile(q, value).ok());
  return value;
}

// The stated bound, over the whole range of q.
void check_bound(const std::vector<float>& entropies) {
  const StreamingQuantile counted = count(entropies);
  CHECK(counted.count() == entropies.size());
  for (const double q : {0.0, 0.001, 0.05, 0.25, 0.5, 0.75, 0.8, 0.9, 0.99, 0.9999, 1.0}) {
    const double exact = static_cast<double>(reset::tau0_from_entropies(entropies, q));
    const double estimate = static_cast<double>(quantile(counted, q));
    CAPTURE(q, exact, estimate);
    CHECK(std::abs(estimate - exact) <= exact * 0x1p-7 + 0x1p-11);
  }
}

// Most tokens of a reasoning trace are all but decided, the others are choices; `choices` is their share.
std::vector<float> make_trace(std::size_t tokens, double choices, unsigned seed) {
  std::mt19937_64 random(seed);
  std::bernoulli_distribution is_choice(choices);
  std::lognormal_distribution<float> decided(-6.0f, 3.0f);
  std::gamma_distribution<float> choice(2.0f, 0.4f);
  std::vector<float> trace(tokens);
  for (float& entropy : trace) entropy = std::min(is_choice(random) ? choice(random) : decided(random), 12.4f);
  return trace;
}

// Entropies on the lower edge of every bin, and the floats on both sides of it.
std::vector<float> edges() {
  std::vector<float> result{0.0f};
  for (int octave = -10; octave < 4; ++octave) {
    for (int i = 0; i < 64; ++i) {
      const std::uint32_t bits = reset::detail::bits_of(std::ldexp(1.0f + static_cast<float>(i) / 64.0f, octave));
      for (const std::uint32_t neighbour : {bits - 1, bits, bits + 1}) {
        result.push_back(reset::detail::float_from_bits(neighbour));
      }
    }
  }
  return result;
}

}  // namespace

TEST_CASE("streaming quantile: within the stated bound on realistic traces") {
  for (const double choices : {0.1, 0.25, 0.6}) {
    check_bound(make_trace(1, choices, 1));
    check_bound(make_trace(7, choices, 2));
    check_bound(make_trace(100000, choices, 3));
  }
}

TEST_CASE("streaming quantile: within the stated bound on adversarial traces") {
  check_bound(edges());
  for (const float edge : edges()) {
    float value = -1.0f;
    REQUIRE(count({edge}).quantile(0.8, value).ok());
    if (!sampler_test::close(value, edge, static_cast<double>(edge) * 0x1p-7 + 0x1p-11)) FAIL(edge << " is " << value);
  }
  std::vector<float> two(1000, 0.0f);  // far apart, with the 80th percentile between them
  std::fill(two.begin() + 799, two.end(), 12.4f);
  check_bound(two);
  check_bound(std::vector<float>(1000, 0.0f));
  check_bound(std::vector<float>(1000, 15.999f));
  check_bound({0x1p-149f, 0x1p-126f, 0x1p-10f, 0.5f});
  std::vector<float> descending = make_trace(10000, 0.25, 4);
  std::sort(descending.rbegin(), descending.rend());
  check_bound(descending);
}

TEST_CASE("streaming quantile: bins are in order, without a gap, and hold their own values") {
  const std::vector<float> ascending = edges();
  int last = 0;
  for (const float edge : ascending) {
    const int bin = StreamingQuantile::bin_of(edge);
    if (bin != last && bin != last + 1) FAIL(edge << " falls into bin " << bin << " after bin " << last);
    last = bin;
  }
  CHECK(last == StreamingQuantile::kBins - 2);
  for (int bin = 0; bin < StreamingQuantile::kBins; ++bin) {
    if (StreamingQuantile::bin_of(StreamingQuantile::bin_value(bin)) != bin) FAIL("bin " << bin);
  }
  static_assert(StreamingQuantile::bin_of(0x1p-10f) == 1 && StreamingQuantile::bin_of(16.0f) == 897);
}

TEST_CASE("streaming quantile: what is no entropy is not counted, what is out of range falls into the ends") {
  const float kMax = std::numeric_limits<float>::max();
  const StreamingQuantile none = count({sampler_test::kNaN, -sampler_test::kNaN, sampler_test::kInfinity,
                                        -sampler_test::kInfinity, -1.0f, -kMax, -0x1p-149f});
  CHECK(same(none, StreamingQuantile{}));
  float value = -1.0f;
  CHECK(none.quantile(0.8, value).message() == "invalid argument: count() is 0, expected at least 1");
  for (const double q : {-0.1, 1.1, std::numeric_limits<double>::infinity()}) {
    CHECK_FALSE(count({1.0f}).quantile(q, value).ok());
  }
  CHECK(count({1.0f}).quantile(1.5, value).message() == "invalid argument: q is 1.5, expected 0..1");
  CHECK_FALSE(count({1.0f}).quantile(reset::detail::double_from_bits(0x7ff8000000000000ull), value).ok());
  CHECK(value == -1.0f);
  CHECK(same(count({-0.0f}), count({0.0f})));
  CHECK(quantile(count({16.0f, kMax}), 0.0) == 16.0f);
  CHECK(quantile(count({16.0f, kMax}), 1.0) == 16.0f);
}

TEST_CASE("streaming quantile: neither order nor merging nor threads change a bit") {
  std::vector<float> trace = make_trace(40000, 0.25, 5);
  const StreamingQuantile whole = count(trace);
  StreamingQuantile parts;
  for (std::size_t from = 0; from < trace.size(); from += 10000) {
    const auto part = trace.begin() + static_cast<std::ptrdiff_t>(from);
    parts.merge(count(std::vector<float>(part, part + 10000)));
  }
  CHECK(same(parts, whole));
  parts.merge({});
  CHECK(same(parts, whole));
  std::shuffle(trace.begin(), trace.end(), std::mt19937(6));
  CHECK(same(count(trace), whole));

  StreamingQuantile shared;
  std::vector<std::thread> threads;
  for (std::size_t first = 0; first < 4; ++first) {
    threads.emplace_back([&, first] {
      for (std::size_t i = first; i < trace.size(); i += 4) shared.add_shared(trace[i]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  shared.add_shared(sampler_test::kNaN);
  CHECK(same(shared, whole));
}
