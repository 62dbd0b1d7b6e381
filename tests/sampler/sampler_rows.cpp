// The edge cases of rows and of sampling parameters, through the sampler.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <reset/sampler/reset_sampler.hpp>

#include "sampler_support.hpp"
#include "support/catch.hpp"

using reset::BFloat16;
using reset::Half;
using reset::RequestParams;
using reset::RowStatus;
using reset::SampledToken;
using reset::SamplerConfig;
using sampler_test::kInfinity;
using sampler_test::kNaN;
using sampler_test::make_row;

namespace {

using Sampler = reset::ReSETSampler<reset::NoDetector>;

SamplerConfig make_config(std::size_t vocabulary) {
  SamplerConfig config;
  config.vocabulary = static_cast<std::int32_t>(vocabulary);
  return config;
}

RequestParams make_request(float temperature) {
  RequestParams request;
  request.reset.t_low = request.reset.t_high = request.sampling.temperature = temperature;
  request.sampling.fallback_token = 1;
  request.seed = 11;
  return request;
}

SampledToken sample_once(const std::vector<float>& row, const RequestParams& request) {
  Sampler sampler(make_config(row.size()));
  REQUIRE(sampler.add(0, request).ok());
  SampledToken token;
  token.token = -77;  // poison
  REQUIRE(sampler.sample(0, row.data(), token).ok());
  return token;
}

// Tokens of many positions on one row.
std::vector<std::int32_t> sample_many(const std::vector<float>& row, const RequestParams& request, int count) {
  Sampler sampler(make_config(row.size()));
  REQUIRE(sampler.add(0, request).ok());
  std::vector<std::int32_t> tokens;
  SampledToken token;
  for (int i = 0; i < count; ++i) {
    REQUIRE(sampler.sample(0, row.data(), token).ok());
    tokens.push_back(token.token);
  }
  return tokens;
}

bool all_are(const std::vector<std::int32_t>& tokens, std::int32_t token) {
  for (const std::int32_t t : tokens) {
    if (t != token) return false;
  }
  return true;
}

void check_bad(const std::vector<float>& row, RowStatus status, std::int32_t expected) {
  Sampler sampler(make_config(row.size()));
  RequestParams request = make_request(1.0f);
  request.reset.tau0 = 10.0f;
  REQUIRE(sampler.add(0, request).ok());
  const std::vector<float> good = make_row(row.size(), 3, 1.0f, 0, 0.0f);
  SampledToken token;
  REQUIRE(sampler.sample(0, good.data(), token).ok());
  Sampler::State before, after;
  REQUIRE(sampler.export_slot(0, before).ok());
  REQUIRE(sampler.sample(0, row.data(), token).ok());
  REQUIRE(sampler.export_slot(0, after).ok());
  CHECK(token.status == status);
  CHECK(token.token == expected);
  CHECK(reset::detail::is_nan(token.entropy));
  CHECK(after.tokens == before.tokens + 1);
  CHECK(after.last_token == expected);
  CHECK(after.policy.global_count == before.policy.global_count);
  CHECK(after.policy.global_sum == before.policy.global_sum);
  CHECK(after.policy.step_count == before.policy.step_count);
}

}  // namespace

TEST_CASE("rows: NaN gives a status, the highest finite logit, and leaves the history alone") {
  std::vector<float> row(3000, -1.0f);
  row[2048] = 4.0f;
  row[2900] = 4.0f;
  row[12] = kNaN;
  check_bad(row, RowStatus::kNaN, 2048);
  row[2050] = kInfinity;
  check_bad(row, RowStatus::kNaN, 2048);
  check_bad(std::vector<float>(3000, kNaN), RowStatus::kNaN, 1);
}

TEST_CASE("rows: +inf gives a status and the highest finite logit") {
  std::vector<float> row(3000, -1.0f);
  row[700] = -0.5f;
  row[12] = kInfinity;
  check_bad(row, RowStatus::kPositiveInfinity, 700);
  check_bad(std::vector<float>(5, kInfinity), RowStatus::kPositiveInfinity, 1);
}

TEST_CASE("rows: all masked gives a status and the fallback token") {
  check_bad(std::vector<float>(3000, -kInfinity), RowStatus::kEmpty, 1);
  std::vector<float> row(3000, -kInfinity);
  row[2999] = -3e38f;  // one is left: a good row
  const SampledToken token = sample_once(row, make_request(1.0f));
  CHECK(token.status == RowStatus::kOk);
  CHECK(token.token == 2999);
  CHECK(token.entropy == 0.0f);
}

TEST_CASE("rows: one finite token is always drawn, under every rule") {
  std::vector<float> row(2500, -kInfinity);
  row[1500] = -12.0f;
  for (const float temperature : {0.0f, 0.1f, 1.0f, 50.0f}) {
    RequestParams request = make_request(temperature);
    CHECK(all_are(sample_many(row, request, 20), 1500));
    request.sampling.top_k = 5;
    request.sampling.top_p = 0.5f;
    request.sampling.min_p = 0.5f;
    CHECK(all_are(sample_many(row, request, 20), 1500));
  }
}

TEST_CASE("rows: a uniform row has entropy log V and draws everywhere") {
  const std::vector<float> row(4096, 2.5f);
  const SampledToken token = sample_once(row, make_request(1.0f));
  CHECK(sampler_test::close(static_cast<double>(token.entropy), std::log(4096.0), 1e-6));
  std::vector<int> quarter(4, 0);
  for (const std::int32_t t : sample_many(row, make_request(1.0f), 400)) ++quarter[static_cast<std::size_t>(t / 1024)];
  for (const int count : quarter) CHECK(count > 50);
}

TEST_CASE("rows: logits of 1e4 and of the largest half are ordinary numbers") {
  CHECK(all_are(sample_many({-1e4f, 1e4f, -1e4f}, make_request(1.0f), 50), 1));
  const std::vector<Half> row{{0xfbff}, {0x7bff}, {0x7bff}, {0xfbff}};  // -65504, 65504, 65504, -65504
  Sampler sampler(make_config(4));
  REQUIRE(sampler.add(0, make_request(1.0f)).ok());
  SampledToken token;
  int ones = 0, twos = 0;
  for (int i = 0; i < 200; ++i) {
    REQUIRE(sampler.sample(0, row.data(), token).ok());
    CHECK(sampler_test::close(static_cast<double>(token.entropy), std::log(2.0), 1e-6));
    ones += token.token == 1 ? 1 : 0;
    twos += token.token == 2 ? 1 : 0;
  }
  CHECK(ones + twos == 200);
  CHECK(ones > 50);
  CHECK(twos > 50);
}

TEST_CASE("rows: probabilities below the smallest float neither win nor poison") {
  std::vector<float> row(2000, -95.0f);
  row[1999] = 0.0f;
  CHECK(all_are(sample_many(row, make_request(1.0f), 200), 1999));
  CHECK(sample_once(row, make_request(1.0f)).entropy < 1e-30f);
}

TEST_CASE("rows: padded columns are never read as logits") {
  SamplerConfig config = make_config(1000);
  config.row_stride = 1024;
  std::vector<float> rows(2048, kNaN);
  for (std::size_t i = 0; i < 1000; ++i) rows[i] = rows[1024 + i] = static_cast<float>(i % 7);
  Sampler padded(config), plain(make_config(1000));
  REQUIRE(padded.add(0, make_request(1.0f)).ok());
  REQUIRE(plain.add(0, make_request(1.0f)).ok());
  for (int i = 0; i < 100; ++i) {
    SampledToken a, b;
    REQUIRE(padded.sample(0, rows.data() + 1024 * (i % 2), a).ok());
    REQUIRE(plain.sample(0, rows.data(), b).ok());
    CHECK(a.status == RowStatus::kOk);
    CHECK(a.token == b.token);
    CHECK(a.entropy == b.entropy);
  }
}

TEST_CASE("rows: strided and unaligned rows of every type sample as compact ones do") {
  SamplerConfig config = make_config(1500);
  config.row_stride = 1517;
  config.slots = 3;
  Sampler strided(config);
  std::vector<BFloat16> memory(1 + 3 * 1517, BFloat16{0x7fc0});
  std::vector<std::vector<float>> rows;
  std::vector<reset::SamplerRow> map(3);
  for (std::size_t r = 0; r < 3; ++r) {
    rows.push_back(make_row(1500, static_cast<unsigned>(r), 2.0f, 2, 5.0f));
    for (std::size_t i = 0; i < 1500; ++i) {
      memory[1 + r * 1517 + i] = sampler_test::to_bfloat16(rows[r][i]);
      rows[r][i] = to_float(memory[1 + r * 1517 + i]);
    }
    map[r].slot = static_cast<std::int32_t>(r);
    map[r].position = 9;
    REQUIRE(strided.add(map[r].slot, make_request(0.9f)).ok());
  }
  std::vector<SampledToken> results(3);
  REQUIRE(strided.apply(memory.data() + 1, map.data(), 3, results.data()).ok());
  for (std::size_t r = 0; r < 3; ++r) {
    RequestParams request = make_request(0.9f);
    request.first_position = 9;
    const SampledToken expected = sample_once(rows[r], request);
    CHECK(results[r].token == expected.token);
    CHECK(results[r].entropy == expected.entropy);
  }
}

TEST_CASE("parameters: temperature 0 and T_low 0 are exact argmax, ties to the lowest id") {
  std::vector<float> row = make_row(3000, 8, 2.0f, 0, 0.0f);
  row[1700] = row[2800] = 30.0f;
  for (const float temperature : {0.0f, 1e-7f, 1e-6f}) {
    CHECK(all_are(sample_many(row, make_request(temperature), 20), 1700));
    RequestParams disabled = make_request(temperature);
    disabled.reset.t_low = disabled.reset.t_high = 5.0f;
    disabled.reset_enabled = false;
    CHECK(all_are(sample_many(row, disabled, 20), 1700));
  }
  row[0] = -0.0f;
  for (std::size_t i = 1; i < row.size(); ++i) row[i] = i == 5 ? 0.0f : -1.0f;
  CHECK(sample_once(row, make_request(0.0f)).token == 0);

  // T_low rules below the threshold, T_high from it on.
  const std::vector<float> sharp{0.0f, 9.0f, 9.5f}, flat{0.0f, 0.1f, 0.0f};
  RequestParams request = make_request(1.0f);
  request.reset.t_low = 0.0f;
  request.reset.tau0 = 1.0f;
  CHECK(all_are(sample_many(sharp, request, 50), 2));
  CHECK_FALSE(all_are(sample_many(flat, request, 50), 1));
  CHECK_FALSE(all_are(sample_many(sharp, make_request(1.0f), 50), 2));
}

TEST_CASE("parameters: a tiny temperature above the limit is still an exact sample") {
  CHECK(all_are(sample_many({1.0f, 1.001f, 0.5f}, make_request(2e-6f), 50), 1));
}

TEST_CASE("parameters: top_p 0 keeps one token, 1 keeps all") {
  const std::vector<float> row = make_row(2000, 5, 0.1f, 0, 0.0f);
  const std::int32_t best = sample_once(row, make_request(0.0f)).token;
  RequestParams request = make_request(1.0f);
  request.sampling.top_p = 0.0f;
  CHECK(all_are(sample_many(row, request, 50), best));
  request.sampling.top_p = 1.0f;
  CHECK(sample_many(row, request, 50) == sample_many(row, make_request(1.0f), 50));
}

TEST_CASE("parameters: top_k 1 is argmax, 0 and the vocabulary or more keep all") {
  std::vector<float> row = make_row(2000, 6, 0.1f, 0, 0.0f);
  row[33] = row[44] = 3.0f;
  RequestParams request = make_request(1.0f);
  request.sampling.top_k = 1;
  CHECK(all_are(sample_many(row, request, 50), 33));
  const std::vector<std::int32_t> all = sample_many(row, make_request(1.0f), 50);
  for (const std::int32_t k : {0, 2000, 2001, std::numeric_limits<std::int32_t>::max()}) {
    request.sampling.top_k = k;
    CHECK(sample_many(row, request, 50) == all);
  }
  // One that is missing is never drawn, and all others still are.
  request = make_request(1e6f);
  request.sampling.top_k = 19;
  std::vector<float> few = make_row(20, 6, 0.1f, 0, 0.0f);
  few[7] = -3.0f;
  std::vector<int> drawn(20);
  for (const std::int32_t token : sample_many(few, request, 1000)) ++drawn[static_cast<std::size_t>(token)];
  for (std::size_t i = 0; i < drawn.size(); ++i) CHECK((drawn[i] > 0) == (i != 7));
}

TEST_CASE("parameters: min_p 1 keeps the ties of the maximum, 0 keeps all") {
  std::vector<float> row = make_row(2000, 7, 0.1f, 0, 0.0f);
  row[33] = row[44] = 3.0f;
  row[55] = std::nextafter(3.0f, 0.0f);
  RequestParams request = make_request(1.0f);
  request.sampling.min_p = 1.0f;
  int first = 0, second = 0;
  for (const std::int32_t token : sample_many(row, request, 100)) {
    first += token == 33 ? 1 : 0;
    second += token == 44 ? 1 : 0;
  }
  CHECK(first + second == 100);
  CHECK(first > 20);
  CHECK(second > 20);
  request.sampling.min_p = 0.0f;
  CHECK(sample_many(row, request, 50) == sample_many(row, make_request(1.0f), 50));
}

TEST_CASE("parameters: those outside their domain are refused by name, and the slot stays as it was") {
  Sampler sampler(make_config(10));
  REQUIRE(sampler.add(0, make_request(1.0f)).ok());
  const std::vector<float> row{0.0f, 1.0f, 2.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
  SampledToken token;
  REQUIRE(sampler.sample(0, row.data(), token).ok());
  const auto refuses = [&](const char* argument, auto change) {
    RequestParams request = make_request(1.0f);
    change(request);
    const reset::Status status = sampler.add(0, request);
    CHECK(status.code() == reset::StatusCode::kInvalidArgument);
    CHECK(std::string(status.argument()) == argument);
  };
  for (const float bad : {-0.5f, kNaN, kInfinity}) {
    refuses("sampling.temperature", [bad](RequestParams& r) { r.sampling.temperature = bad; });
    refuses("reset.t_low", [bad](RequestParams& r) { r.reset.t_low = bad; });
    refuses("reset.t_high", [bad](RequestParams& r) { r.reset.t_high = bad; });
    refuses("reset.tau0", [bad](RequestParams& r) { r.reset.tau0 = bad; });
    refuses("sampling.top_p", [bad](RequestParams& r) { r.sampling.top_p = bad; });
    refuses("sampling.min_p", [bad](RequestParams& r) { r.sampling.min_p = bad; });
  }
  refuses("sampling.top_p", [](RequestParams& r) { r.sampling.top_p = 1.01f; });
  refuses("sampling.min_p", [](RequestParams& r) { r.sampling.min_p = 1.5f; });
  refuses("sampling.top_k", [](RequestParams& r) { r.sampling.top_k = -1; });
  refuses("sampling.fallback_token", [](RequestParams& r) { r.sampling.fallback_token = 10; });
  refuses("reset.window", [](RequestParams& r) { r.reset.window = 129; });
  refuses("reset.history", [](RequestParams& r) { r.reset.history = static_cast<reset::HistoryMode>(7); });
  refuses("early_stop.patience", [](RequestParams& r) { r.early_stop.patience = -1; });
  refuses("first_position", [](RequestParams& r) { r.first_position = -1; });
  CHECK(std::string(sampler.add(1, make_request(1.0f)).argument()) == "slot");
  CHECK(std::string(sampler.add(-1, make_request(1.0f)).argument()) == "slot");
  Sampler::State state;
  REQUIRE(sampler.export_slot(0, state).ok());
  CHECK(state.tokens == 1);
}

TEST_CASE("parameters: a configuration outside its domain throws and says why") {
  SamplerConfig config = make_config(0);
  CHECK_THROWS_WITH(Sampler(config), "invalid argument: vocabulary is 0, expected at least 1");
  config = make_config(100);
  config.row_stride = 99;
  CHECK_THROWS_AS(Sampler(config), reset::Error);
  config = make_config(100);
  config.slots = 0;
  CHECK_THROWS_AS(Sampler(config), reset::Error);
  config = make_config(100);
  config.rows_per_slot = 65;
  CHECK_THROWS_AS(Sampler(config), reset::Error);
}

TEST_CASE("sampler: logprob and rank are the token's in the raw row") {
  std::vector<float> row = make_row(3000, 21, 1.5f, 4, 5.0f);
  row[10] = row[2000] = row[2999];  // ties: the lower id is preferred
  for (std::size_t i = 0; i < row.size(); i += 7) row[i] = -kInfinity;
  double sum = 0.0;
  for (const float x : row) sum += std::exp(std::max(static_cast<double>(x), -700.0));
  for (const bool ranked : {false, true}) {
    SamplerConfig config;
    config.vocabulary = 3000;
    config.rank = ranked;
    reset::ReSETSampler<reset::NoDetector> sampler(config);
    RequestParams request;
    request.sampling.temperature = 3.0f;
    request.reset_enabled = false;
    REQUIRE(sampler.add(0, request).ok());
    for (int i = 0; i < 200; ++i) {
      SampledToken result;
      REQUIRE(sampler.sample(0, row.data(), result).ok());
      const std::size_t token = static_cast<std::size_t>(result.token);
      const double expected = static_cast<double>(row[token]) - std::log(sum);
      CHECK(
          sampler_test::close(static_cast<double>(result.logprob), expected, 2e-6 * std::max(1.0, std::abs(expected))));
      std::int32_t better = 0;
      for (std::size_t id = 0; id < row.size(); ++id) {
        better += row[id] > row[token] || (row[id] == row[token] && id < token) ? 1 : 0;
      }
      CHECK(result.rank == (ranked ? better : -1));
    }
    std::vector<float> bad(3000, -kInfinity);
    SampledToken result;
    REQUIRE(sampler.sample(0, bad.data(), result).ok());
    CHECK((reset::detail::is_nan(result.logprob) && result.rank == -1));
  }
}
