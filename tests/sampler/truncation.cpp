// The selection behind top-k, top-p and min-p against a full sort, and the bounded races against the whole of them.
#include <algorithm>
#include <cmath>
#include <vector>

#include <reset/sampler/detail/host_row.hpp>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "sampler_oracle.hpp"
#include "sampler_support.hpp"
#include "support/catch.hpp"

using reset::RandomKey;
using reset::SampledToken;
using reset::SamplingParams;
using sampler_test::make_row;

namespace {

SamplingParams make_sampling(int top_k, float top_p, float min_p) {
  SamplingParams sampling;
  sampling.top_k = top_k;
  sampling.top_p = top_p;
  sampling.min_p = min_p;
  return sampling;
}

// The tokens that the library keeps, best first.
std::vector<std::int32_t> kept_ids(const std::vector<float>& row, float temperature, const SamplingParams& sampling) {
  std::vector<reset::EntropyPartial> scratch(reset::chunk_count(row.size()));
  std::vector<reset::ChunkExtent> extents(scratch.size());
  const reset::RowStatistics statistics = reset::row_statistics(row.data(), row.size(), scratch.data(), extents.data());
  REQUIRE(statistics.status == reset::RowStatus::kOk);
  reset::detail::RowChunks<float> chunks(row.data(), row.size());
  const reset::detail::RowSummary summary{extents.data(), statistics.partial.max, temperature};
  std::vector<std::uint64_t> keys(row.size());
  const std::size_t count =
      reset::detail::truncate_row(chunks, summary, row.size(), sampling, statistics.partial.sum, keys.data());
  std::sort(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(count), std::greater<>{});
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < count; ++i) ids.push_back(reset::detail::candidate_id(keys[i]));
  return ids;
}

void check_kept(const std::vector<float>& row, float temperature, int top_k, float top_p, float min_p) {
  CAPTURE(row.size(), temperature, top_k, top_p, min_p);
  const auto expected = sampler_test::truncate(row, static_cast<double>(temperature), top_k, static_cast<double>(top_p),
                                               static_cast<double>(min_p));
  CHECK(kept_ids(row, temperature, make_sampling(top_k, top_p, min_p)) == expected.ids);
}

// The winner by the definition: the exact score of every kept token.
std::int32_t naive_winner(const std::vector<float>& row, const std::vector<std::int32_t>& ids, float temperature,
                          const RandomKey& key) {
  std::int32_t winner = -1;
  double best = 0.0;
  for (const std::int32_t id : ids) {
    const double score =
        reset::gumbel_score(row[static_cast<std::size_t>(id)], temperature, reset::gumbel_noise(key, id));
    if (winner < 0 || score > best || (score == best && id < winner)) {
      winner = id;
      best = score;
    }
  }
  return winner;
}

// The same of a whole row: of the chunk that wins, which is weighed without the library's order of sums.
std::int32_t naive_row_winner(const std::vector<float>& row, float temperature, const RandomKey& key) {
  std::vector<std::int32_t> winners;
  double best = 0.0;
  for (std::size_t begin = 0; begin < row.size(); begin += reset::kEntropyChunk) {
    std::vector<std::int32_t> ids;
    for (std::size_t i = begin; i < std::min(begin + reset::kEntropyChunk, row.size()); ++i) {
      if (reset::detail::is_finite(row[i])) ids.push_back(static_cast<std::int32_t>(i));
    }
    if (ids.empty()) continue;
    const auto logit = [&](std::int32_t id) { return row[static_cast<std::size_t>(id)]; };
    float max = logit(ids.front());
    for (const std::int32_t id : ids) max = std::max(max, logit(id));
    long double mass = 0;
    for (const std::int32_t id : ids) {
      mass += std::exp((static_cast<long double>(logit(id)) - static_cast<long double>(max)) /
                       static_cast<long double>(temperature));
    }
    const auto chunk = static_cast<std::uint32_t>(begin / reset::kEntropyChunk);
    const double score =
        reset::chunk_score(max, temperature, static_cast<double>(mass), reset::chunk_noise(key, chunk));
    if (!winners.empty() && !(score > best)) continue;
    winners = ids;
    best = score;
  }
  return naive_winner(row, winners, temperature, key);
}

bool is_off(const SamplingParams& rule) { return rule.top_k == 0 && rule.top_p == 1.0f && rule.min_p == 0.0f; }

// A processor set to read subnormals as zero and to flush them, as engines set it, for as long as this lives.
class FlushedSubnormals {
#if defined(__SSE2__)
 public:
  FlushedSubnormals() { _mm_setcsr(before_ | 0x8040u); }
  ~FlushedSubnormals() { _mm_setcsr(before_); }
  FlushedSubnormals(const FlushedSubnormals&) = delete;
  FlushedSubnormals& operator=(const FlushedSubnormals&) = delete;

 private:
  unsigned before_ = _mm_getcsr();
#else
 public:
  ~FlushedSubnormals() {}
#endif
};

float subnormal(std::uint32_t units) { return reset::detail::float_from_bits(units); }

}  // namespace

TEST_CASE("truncation: the kept tokens are those of a full sort") {
  unsigned seed = 1;
  for (const std::size_t columns : {5u, 300u, 1025u, 20000u}) {
    for (const float spread : {0.5f, 3.0f}) {
      const std::vector<float> row = make_row(columns, seed++, spread, 6, 9.0f);
      for (const float temperature : {0.1f, 0.6f, 1.0f, 2.0f}) {
        check_kept(row, temperature, 0, 0.95f, 0.0f);
        check_kept(row, temperature, 0, 0.5f, 0.0f);
        check_kept(row, temperature, 0, 0.999f, 0.0f);
        check_kept(row, temperature, 20, 1.0f, 0.0f);
        check_kept(row, temperature, 3, 0.9f, 0.0f);
        check_kept(row, temperature, 700, 0.95f, 0.01f);
        check_kept(row, temperature, 0, 1.0f, 0.05f);
        check_kept(row, temperature, 0, 0.9f, 0.02f);
      }
    }
  }
}

TEST_CASE("truncation: ties at the cut go to the lowest ids") {
  std::vector<float> row(3000, 1.0f);
  row[2500] = 2.0f;
  row[10] = -0.0f;
  CHECK(kept_ids(row, 1.0f, make_sampling(4, 1.0f, 0.0f)) == std::vector<std::int32_t>{2500, 0, 1, 2});
  const std::vector<float> flat(8, -3.0f);
  CHECK(kept_ids(flat, 1.0f, make_sampling(0, 0.5f, 0.0f)) == std::vector<std::int32_t>{0, 1, 2, 3});
  CHECK(kept_ids(flat, 1.0f, make_sampling(0, 0.51f, 0.0f)) == std::vector<std::int32_t>{0, 1, 2, 3, 4});
  // Zeros of both signs are equal.
  CHECK(kept_ids({-0.0f, 0.0f, -0.0f, -1.0f}, 1.0f, make_sampling(2, 1.0f, 0.0f)) == std::vector<std::int32_t>{0, 1});
}

TEST_CASE("truncation: masked tokens are never kept, few finite ones are all kept") {
  std::vector<float> row(5000, -sampler_test::kInfinity);
  row[4000] = 1.0f;
  row[17] = 0.5f;
  row[2222] = -400.0f;
  const std::vector<std::int32_t> all{4000, 17, 2222};
  CHECK(kept_ids(row, 1.0f, make_sampling(10, 1.0f, 0.0f)) == all);
  CHECK(kept_ids(row, 1.0f, make_sampling(300, 1.0f, 0.0f)) == all);
  CHECK(kept_ids(row, 1.0f, make_sampling(2, 1.0f, 0.0f)) == std::vector<std::int32_t>{4000, 17});
  CHECK(kept_ids(row, 1.0f, make_sampling(0, 0.9f, 0.0f)) == std::vector<std::int32_t>{4000, 17});
}

TEST_CASE("truncation: large logits lose nothing at the cut") {
  const std::vector<float> high{1e4f, 9999.5f, 9999.0f, -1e4f};
  check_kept(high, 1.0f, 0, 0.9f, 0.0f);
  check_kept(high, 0.01f, 0, 0.9f, 0.0f);
  check_kept(high, 1.0f, 0, 1.0f, 0.6f);
  check_kept({3e38f, 3e38f, -3e38f}, 1.0f, 0, 0.9f, 0.0f);
  check_kept({65504.0f, 65472.0f, -65504.0f}, 20.0f, 0, 0.9f, 0.0f);
}

TEST_CASE("sampling: the token is the one of the exact race, whatever the path") {
  const std::vector<float> row = make_row(20000, 77, 2.0f, 10, 7.0f);
  const std::vector<float> flat = make_row(20000, 78, 0.2f, 0, 0.0f);
  const SamplingParams rules[] = {make_sampling(0, 1.0f, 0.0f), make_sampling(0, 0.9f, 0.0f),
                                  make_sampling(50, 1.0f, 0.0f), make_sampling(9000, 0.999f, 0.0f)};
  for (const std::vector<float>* logits : {&row, &flat}) {
    reset::detail::HostRow host(logits->size());
    SampledToken token;
    host.read(logits->data(), token);
    for (const SamplingParams& rule : rules) {
      for (const float temperature : {0.3f, 1.0f, 4.0f}) {
        const auto kept = sampler_test::truncate(*logits, static_cast<double>(temperature), rule.top_k,
                                                 static_cast<double>(rule.top_p), 0.0);
        for (std::int64_t position = 0; position < 40; ++position) {
          const RandomKey key{2024, position, reset::RandomPurpose::kSampling};
          const std::int32_t winner = is_off(rule) ? naive_row_winner(*logits, temperature, key)
                                                   : naive_winner(*logits, kept.ids, temperature, key);
          CHECK(host.draw(logits->data(), rule, temperature, key) == winner);
        }
      }
    }
  }
}

TEST_CASE("sampling: equal scores go to the lowest id") {
  // At 1e30 the noise is below the resolution of a score: every token ties.
  const std::vector<float> row(5000, 1e30f);
  reset::detail::HostRow host(row.size());
  SampledToken token;
  host.read(row.data(), token);
  for (std::int64_t position = 0; position < 5; ++position) {
    CHECK(host.draw(row.data(), make_sampling(0, 1.0f, 0.0f), 1.0f, {5, position}) == 0);
    CHECK(host.draw(row.data(), make_sampling(300, 1.0f, 0.0f), 1.0f, {5, position}) == 0);
  }
}

TEST_CASE("sampling: scores that tie by rounding alone go to the lowest id") {
  // A score is a multiple of 4 here, so that those of lower noise tie with the highest, and the first ids are masked so
  // that the race begins elsewhere.
  const SamplingParams rules[] = {make_sampling(0, 1.0f, 0.0f), make_sampling(300, 1.0f, 0.0f)};
  for (const float level : {4e15f, 3e16f, -3e16f}) {
    std::vector<float> row(5000, level);
    std::fill(row.begin(), row.begin() + 16, -sampler_test::kInfinity);
    reset::detail::HostRow host(row.size());
    SampledToken token;
    host.read(row.data(), token);
    long mismatches = 0;
    for (const SamplingParams& rule : rules) {
      const auto kept = sampler_test::truncate(row, 1.0, rule.top_k, 1.0, 0.0);
      for (std::int64_t position = 0; position < 40; ++position) {
        const RandomKey key{5, position, reset::RandomPurpose::kSampling};
        const std::int32_t winner =
            is_off(rule) ? naive_row_winner(row, 1.0f, key) : naive_winner(row, kept.ids, 1.0f, key);
        mismatches += host.draw(row.data(), rule, 1.0f, key) == winner ? 0 : 1;
      }
    }
    CAPTURE(level);
    CHECK(mismatches == 0);
  }
}

TEST_CASE("sampling: the highest logit is found among subnormals, whatever the processor makes of them") {
  const FlushedSubnormals flushed;
  // The best is in another chunk than the zeros, and not the first subnormal of its own.
  std::vector<float> row(3000, 0.0f);
  row[1500] = subnormal(7);
  row[1501] = subnormal(9);
  row[2900] = subnormal(8);
  const auto drawn = [&](const SamplingParams& rule, float temperature) {
    reset::detail::HostRow host(row.size());
    SampledToken token;
    host.read(row.data(), token);
    return host.draw(row.data(), rule, temperature, {1, 2});
  };
  CHECK(drawn(make_sampling(0, 1.0f, 0.0f), 0.0f) == 1501);
  CHECK(drawn(make_sampling(1, 1.0f, 0.0f), 1.0f) == 1501);
  CHECK(drawn(make_sampling(0, 1.0f, 1.0f), 1.0f) == 1501);
  CHECK(kept_ids(row, 1.0f, make_sampling(4, 1.0f, 0.0f)) == std::vector<std::int32_t>{1501, 2900, 1500, 0});
  // Negative ones: zero is the highest.
  std::fill(row.begin(), row.end(), subnormal(0x80000001u));
  row[2000] = -0.0f;
  CHECK(drawn(make_sampling(0, 1.0f, 0.0f), 0.0f) == 2000);
}

TEST_CASE("truncation: a place in the order of preference is that of a candidate's key") {
  using reset::detail::candidate_key;
  using reset::detail::float_from_bits;
  using reset::detail::KeyFloor;
  const float infinity = float_from_bits(0x7f800000u);
  std::vector<float> logits = {0.0f,
                               -0.0f,
                               1.0f,
                               -1.0f,
                               3e38f,
                               -3e38f,
                               float_from_bits(1),
                               float_from_bits(0x80000001u),
                               float_from_bits(0x00800000u),
                               float_from_bits(0x807fffffu),
                               1.5f,
                               1.25f,
                               -infinity};
  for (unsigned seed = 1; seed < 4; ++seed) {
    for (const float x : make_row(20, seed, 3.0f, 2, 9.0f)) logits.push_back(x);
  }
  for (const float x : logits) {
    CHECK(reset::detail::number_of_signed(reset::detail::signed_order(x)) == x);
    for (const std::int32_t id : {0, 7, 262143}) {
      const bool finite = x > -infinity;
      CHECK(KeyFloor(0).reached(x, id) == finite);
      for (const float other : logits) {
        if (!(other > -infinity)) continue;
        for (const std::int32_t cut : {0, 6, 7, 8, 262143}) {
          const std::uint64_t key = candidate_key(other, cut);
          REQUIRE(KeyFloor(key).reached(x, id) == (candidate_key(x, id) >= key));
        }
      }
    }
  }
}
