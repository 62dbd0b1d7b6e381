// Rows that are no distribution, and calls that make no sense: nobody else notices.
#include <cmath>

#include "sampler/device/comparisons.hpp"
#include "sampler/device/tests.hpp"

namespace device_test {
namespace {

using reset::RowStatus;
using sampler_test::kInfinity;
using sampler_test::kNaN;

constexpr std::int32_t kVocabulary = 3000;

void test_bad_rows(const reset::SamplerDevice& device, Verdict& verdict) {
  reset::SamplerConfig config;
  config.vocabulary = kVocabulary;
  config.slots = 4;
  Engine engine(device, config, 4);
  reset::RequestParams request;
  request.sampling.fallback_token = 1234;
  const std::vector<float> good = sampler_test::make_row(kVocabulary, 3, 2.0f, 5, 8.0f);
  struct Bad {
    const char* name;
    std::vector<float> row;
    RowStatus status;
  };
  std::vector<Bad> bad;
  for (const std::size_t at : {std::size_t{0}, std::size_t{1023}, std::size_t{2999}}) {
    Bad nan{"NaN", good, RowStatus::kNaN};
    nan.row[at] = kNaN;
    bad.push_back(nan);
    nan.name = "-NaN and +inf";
    nan.row[at] = reset::detail::float_from_bits(0xffc00001u);
    nan.row[(at + 1500) % kVocabulary] = kInfinity;
    bad.push_back(nan);
    Bad infinite{"+inf", good, RowStatus::kPositiveInfinity};
    infinite.row[at] = kInfinity;
    bad.push_back(infinite);
  }
  bad.push_back({"all masked", std::vector<float>(kVocabulary, -kInfinity), RowStatus::kEmpty});
  bad.push_back({"all NaN", std::vector<float>(kVocabulary, kNaN), RowStatus::kNaN});
  engine.add(2, request);
  for (const Bad& b : bad) {
    // A good row, the bad one, and a good one again: the history holds the two good ones alone.
    for (const std::vector<float>* row : {&good, &b.row, &good}) {
      const DeviceArray<float> logits(*row);
      const auto found = engine.step(logits.data(), {{2, -1, reset::kNextPosition}});
      reset::SampledToken expected;
      check(engine.host().sample(2, row->data(), expected), "sample");
      const bool is_bad = row == &b.row;
      verdict.expect(found[0].status == (is_bad ? b.status : RowStatus::kOk), std::string(b.name) + ": status");
      verdict.expect(found[0].token == expected.token, std::string(b.name) + ": token");
      verdict.expect(reset::detail::is_nan(found[0].entropy) == is_bad, std::string(b.name) + ": entropy");
      verdict.expect(std::fabs(found[0].policy.global_mean - expected.policy.global_mean) < 1e-5,
                     std::string(b.name) + ": history");
    }
  }
}

void test_bad_calls(const reset::SamplerDevice& device, bool by_apply, Verdict& verdict) {
  reset::SamplerConfig config;
  config.vocabulary = kVocabulary;
  config.slots = 4;
  config.rows_per_slot = 2;
  Engine engine(device, config, 8);
  Engine untouched(device, config, 8);
  for (Engine* e : {&engine, &untouched}) {
    e->add(0, {});
    e->add(1, {});
  }
  const std::vector<float> good = sampler_test::make_row(kVocabulary, 9, 2.0f, 5, 8.0f);
  std::vector<float> batch;
  for (int i = 0; i < 8; ++i) batch.insert(batch.end(), good.begin(), good.end());
  const DeviceArray<float> logits(batch);
  const reset::SamplerRow fine{0, -1, reset::kNextPosition};
  const auto call_rows = [&](Engine& e, const std::vector<reset::SamplerRow>& rows) {
    const auto found = by_apply ? e.apply(logits.data(), rows) : e.step(logits.data(), rows);
    if (by_apply) e.commit({0}, {1});
    return found;
  };
  // Refused rows leave those that wait for a commit where they are.
  if (by_apply) {
    for (Engine* e : {&engine, &untouched}) e->apply(logits.data(), {{1, -1, reset::kNextPosition}});
  }
  const std::vector<std::vector<reset::SamplerRow>> misuses = {
      {{-1, -1, 5}},
      {{4, -1, 5}},
      {{1 << 30, -1, 5}},
      {{3, -1, 5}},                          // without a request
      {{1, -1, 5}, {1, -1, 5}},              // the same position twice
      {{1, -1, 5}, {1, -1, 7}},              // a gap
      {{1, -1, 5}, {1, -1, 6}, {1, -1, 7}},  // more than rows_per_slot
      {{1, -1, 5}, {1, -2, 6}},              // no token
      {{1, -1, 5}, {1, kVocabulary, 6}},     // no token
      {{1, -1, reset::kMaxPosition + 1}},    // no position
      {{1, -1, reset::kMaxPosition}, {1, -1, reset::kMaxPosition + 1}},
      {{1, -1, -1000}},
  };
  for (const auto& rows : misuses) {
    std::vector<reset::SamplerRow> call = rows;
    call.push_back(fine);
    const auto found = call_rows(engine, call);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      verdict.expect(found[i].status == RowStatus::kRefused && found[i].token == reset::kPlaceholderToken,
                     "misuse " + std::to_string(&rows - misuses.data()) + " is refused");
    }
    const auto expected = call_rows(untouched, {fine});
    verdict.expect(same_bits(found.back(), expected[0]), "another slot notices nothing");
  }
  if (by_apply) {
    for (Engine* e : {&engine, &untouched}) e->commit({1}, {1});
    verdict.expect(engine.state(1).tokens == 1, "rows applied before a misuse are committed");
  }
  const auto after = engine.step(logits.data(), {{1, -1, reset::kNextPosition}});
  const auto expected = untouched.step(logits.data(), {{1, -1, reset::kNextPosition}});
  verdict.expect(same_bits(after[0], expected[0]), "the slot itself is as it was");
  reset::SamplerCall<float> call;
  verdict.expect(step(engine.device(), call, {}, nullptr).ok(), "an empty batch is fine");
  call.count = 9;
  verdict.expect(!step(engine.device(), call, {}, nullptr).ok(), "more rows than configured are refused");
  call.count = 1;
  verdict.expect(!step(engine.device(), call, {}, nullptr).ok(), "null pointers are refused");
}

}  // namespace

int test_misuse(const reset::SamplerDevice& device) {
  Verdict verdict("misuse");
  test_bad_rows(device, verdict);
  test_bad_calls(device, false, verdict);
  test_bad_calls(device, true, verdict);
  return verdict.failures();
}

}  // namespace device_test
