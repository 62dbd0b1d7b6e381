// Chi-square of a million draws each against the exact probabilities.
#include <cmath>
#include <vector>

#include <reset/sampler/reset_sampler.hpp>

#include "sampler_oracle.hpp"
#include "sampler_support.hpp"
#include "support/catch.hpp"
#include "support/sanitizers.hpp"

using reset::SampledToken;
using reset::SamplingParams;

namespace {

#if defined(RESET_TEST_ADDRESS_SANITIZER)
constexpr int kDraws = 100000;  // sanitizers look for other errors, slowly
#else
constexpr int kDraws = 1000000;
#endif

const std::vector<float> kRow = {1.5f, -2.0f, 0.25f, 3.0f, 1.5f, -0.75f, 2.0f, -7.0f, 0.0f, -3.5f};

double chi_square(const std::vector<long>& found, const sampler_test::Kept& expected, int draws) {
  double sum = 0.0;
  for (std::size_t i = 0; i < expected.ids.size(); ++i) {
    const double mean = expected.probability[i] * draws;
    const double difference = static_cast<double>(found[static_cast<std::size_t>(expected.ids[i])]) - mean;
    sum += difference * difference / mean;
  }
  return sum;
}

// About one in a million of good samplers would pass this.
double limit(const sampler_test::Kept& expected) {
  const double freedom = static_cast<double>(expected.ids.size()) - 1.0;
  return freedom + 5.0 * std::sqrt(2.0 * freedom) + 12.0;
}

long outside(const std::vector<long>& found, const sampler_test::Kept& expected) {
  long inside = 0;
  for (const std::int32_t id : expected.ids) inside += found[static_cast<std::size_t>(id)];
  return kDraws - inside;
}

void check_distribution(float temperature, int top_k, float top_p, float min_p, std::uint64_t seed) {
  CAPTURE(temperature, top_k, top_p, min_p);
  SamplingParams sampling;
  sampling.top_k = top_k;
  sampling.top_p = top_p;
  sampling.min_p = min_p;
  reset::detail::HostRow host(kRow.size());
  SampledToken token;
  host.read(kRow.data(), token);
  std::vector<long> found(kRow.size(), 0);
  for (std::int64_t i = 0; i < kDraws; ++i) {
    ++found[static_cast<std::size_t>(host.draw(kRow.data(), sampling, temperature, {seed, i}))];
  }
  const auto expected = sampler_test::truncate(kRow, static_cast<double>(temperature), top_k,
                                               static_cast<double>(top_p), static_cast<double>(min_p));
  CHECK(outside(found, expected) == 0);
  CHECK(chi_square(found, expected, kDraws) < limit(expected));
  // The test can fail: it tells a temperature that is 5 % off.
  auto wrong = expected;
  double sum = 0.0;
  for (double& p : wrong.probability) sum += p = std::pow(p, 1.0 / 1.05);
  for (double& p : wrong.probability) p /= sum;
  CHECK(chi_square(found, wrong, kDraws) > limit(wrong));
}

}  // namespace

TEST_CASE("distribution: softmax at every temperature") {
  check_distribution(0.4f, 0, 1.0f, 0.0f, 1);
  check_distribution(1.0f, 0, 1.0f, 0.0f, 2);
  check_distribution(2.5f, 0, 1.0f, 0.0f, 3);
}

TEST_CASE("distribution: softmax over several chunks of a row, whatever their masses") {
  // A chunk with two tokens that stand out, a flat one, one that is masked but for a token, and a last short one.
  std::vector<float> row(3 * reset::kEntropyChunk + 70, 0.0f);
  const auto chunk_of = [](std::size_t i) { return i / reset::kEntropyChunk; };
  for (std::size_t i = 0; i < row.size(); ++i) {
    const float wave = 0.7f * static_cast<float>(i % 7);
    row[i] = chunk_of(i) == 0   ? wave - 6.0f
             : chunk_of(i) == 1 ? wave
             : chunk_of(i) == 2 ? -sampler_test::kInfinity
                                : 2.0f;
  }
  row[5] = 9.0f;
  row[800] = 8.0f;
  row[2 * reset::kEntropyChunk + 513] = 8.5f;
  for (const float temperature : {0.6f, 1.0f, 1.7f}) {
    CAPTURE(temperature);
    const auto expected = sampler_test::truncate(row, static_cast<double>(temperature), 0, 1.0, 0.0);
    // Cells: the three tokens, and of the others each chunk's by their place in the wave.
    const auto cell = [&](std::size_t i) -> std::size_t {
      if (row[i] >= 8.0f) return i == 5 ? 0 : i == 800 ? 1 : 2;
      return 3 + chunk_of(i) * 7 + (chunk_of(i) == 3 ? 0 : i % 7);
    };
    std::vector<double> probability(3 + 4 * 7, 0.0), found(probability.size(), 0.0);
    for (std::size_t k = 0; k < expected.ids.size(); ++k) {
      probability[cell(static_cast<std::size_t>(expected.ids[k]))] += expected.probability[k];
    }
    reset::detail::HostRow host(row.size());
    SampledToken token;
    host.read(row.data(), token);
    constexpr int kRowDraws = kDraws / 5;
    for (std::int64_t i = 0; i < kRowDraws; ++i) {
      found[cell(static_cast<std::size_t>(host.draw(row.data(), SamplingParams{}, temperature, {91, i})))] += 1.0;
    }
    double chi_square = 0.0, freedom = -1.0, rest = 0.0, rest_found = 0.0;
    for (std::size_t c = 0; c < found.size(); ++c) {
      const double mean = probability[c] * kRowDraws;
      if (mean < 10.0) {
        rest += mean;
        rest_found += found[c];
        continue;
      }
      chi_square += (found[c] - mean) * (found[c] - mean) / mean;
      ++freedom;
    }
    CHECK(freedom > 5.0);
    CHECK(std::abs(rest_found - rest) < 6.0 * std::sqrt(rest) + 3.0);
    CHECK(chi_square < freedom + 5.0 * std::sqrt(2.0 * freedom) + 12.0);
  }
}

TEST_CASE("distribution: top-k") { check_distribution(1.0f, 4, 1.0f, 0.0f, 4); }

TEST_CASE("distribution: top-p") { check_distribution(0.8f, 0, 0.9f, 0.0f, 5); }

TEST_CASE("distribution: min-p") { check_distribution(1.5f, 0, 1.0f, 0.2f, 7); }

TEST_CASE("distribution: all three together") { check_distribution(1.0f, 6, 0.97f, 0.1f, 8); }

TEST_CASE("distribution: seeds are as good as positions") {
  reset::detail::HostRow host(kRow.size());
  SampledToken token;
  host.read(kRow.data(), token);
  std::vector<long> found(kRow.size(), 0);
  constexpr int kSeeds = kDraws / 10;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    ++found[static_cast<std::size_t>(host.draw(kRow.data(), SamplingParams{}, 1.0f, {seed, 1234}))];
  }
  const auto expected = sampler_test::truncate(kRow, 1.0, 0, 1.0, 0.0);
  CHECK(chi_square(found, expected, kSeeds) < limit(expected));
}

TEST_CASE("distribution: through the sampler, in bfloat16, at both temperatures of the policy") {
  // A row of low entropy and one of high entropy take turns, so that T_low and T_high each rule half the tokens.
  std::vector<float> sharp(9, -3.0f), broad(9, 0.0f);
  sharp[2] = 2.0f;
  sharp[7] = 1.0f;
  broad[4] = 0.5f;
  std::vector<reset::BFloat16> rows;
  for (const float x : sharp) rows.push_back(sampler_test::to_bfloat16(x));
  for (const float x : broad) rows.push_back(sampler_test::to_bfloat16(x));

  reset::SamplerConfig config;
  config.vocabulary = 9;
  reset::ReSETSampler<reset::NoDetector> sampler(config);
  reset::RequestParams request;
  request.reset.tau0 = 1.5f;
  request.reset.t_low = 0.5f;
  request.reset.t_high = 1.25f;
  REQUIRE(sampler.add(0, request).ok());
  std::vector<long> found[2] = {std::vector<long>(9, 0), std::vector<long>(9, 0)};
  SampledToken token;
  bool ok = true;
  for (int i = 0; i < kDraws; ++i) {
    ok = ok && sampler.sample(0, rows.data() + 9 * (i % 2), token).ok() && token.policy.high == (i % 2 == 1);
    ++found[i % 2][static_cast<std::size_t>(token.token)];
  }
  CHECK(ok);
  const auto low = sampler_test::truncate(sharp, 0.5, 0, 1.0, 0.0);
  const auto high = sampler_test::truncate(broad, 1.25, 0, 1.0, 0.0);
  CHECK(chi_square(found[0], low, kDraws / 2) < limit(low));
  CHECK(chi_square(found[1], high, kDraws / 2) < limit(high));
}
