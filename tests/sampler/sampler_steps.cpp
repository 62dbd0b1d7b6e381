// Steps: rows are sampled and committed in one call, with drafts matched or accepted by chance.
#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "sampler_oracle.hpp"
#include "sampler_requests.hpp"
#include "support/sanitizers.hpp"

using namespace sampler_test;

namespace {

#if defined(RESET_TEST_ADDRESS_SANITIZER)
constexpr int kDraws = 50000;  // sanitizers look for other errors, slowly
#else
constexpr int kDraws = 200000;
#endif

// What one slot gives for a row and a drafted token behind it, then the row behind that.
struct Pair {
  SampledToken first;
  SampledToken second;
};

Pair step_pair(Sampler& sampler, const std::vector<float>& logits, std::int32_t draft, std::int64_t position,
               const float* probabilities) {
  const SamplerRow rows[2] = {{0, reset::kPlaceholderToken, position}, {0, draft, position + 1}};
  SampledToken results[2];
  REQUIRE(sampler.step(logits.data(), rows, 2, results, probabilities).ok());
  return {results[0], results[1]};
}

// A fixed row for both positions, the target's probabilities, and others to draft from.
struct Setting {
  RequestParams request;
  std::vector<float> logits;
  std::vector<double> target;
  std::vector<double> draft;
};

Setting make_setting(float temperature, int top_k, float top_p, float min_p, double mix,
                     std::size_t columns = kVocabulary) {
  Setting setting;
  setting.request = make_request(7);
  setting.request.reset_enabled = false;
  setting.request.sampling.temperature = temperature;
  setting.request.sampling.top_k = top_k;
  setting.request.sampling.top_p = top_p;
  setting.request.sampling.min_p = min_p;
  const std::vector<float> row = make_row(columns, 3, 1.5f, 0, 0.0f);
  append(setting.logits, row);
  append(setting.logits, row);
  setting.target.assign(columns, 0.0);
  const Kept kept =
      truncate(row, static_cast<double>(temperature), top_k, static_cast<double>(top_p), static_cast<double>(min_p));
  for (std::size_t i = 0; i < kept.ids.size(); ++i) {
    setting.target[static_cast<std::size_t>(kept.ids[i])] = kept.probability[i];
  }
  // Part the target, part something that the target leaves out.
  double total = 0.0;
  for (std::size_t i = 0; i < setting.target.size(); ++i) {
    setting.draft.push_back(mix * setting.target[i] + (1.0 - mix) * static_cast<double>(i % 7) / 7.0);
    total += setting.draft.back();
  }
  for (double& q : setting.draft) q /= total;
  return setting;
}

// Chi-square of `draws` tokens against probabilities; rare tokens are joined.
void check_counts(const std::vector<int>& count, const std::vector<double>& probability, int draws) {
  double chi_square = 0.0;
  double degrees = -1.0;
  const auto add = [&](double seen, double expected) {
    chi_square += (seen - expected) * (seen - expected) / expected;
    degrees += 1.0;
  };
  double rare = 0.0;
  double rare_expected = 0.0;
  for (std::size_t i = 0; i < count.size(); ++i) {
    if (probability[i] == 0.0) {
      REQUIRE(count[i] == 0);
      continue;
    }
    const double expected = probability[i] * draws;
    rare += expected < 10.0 ? count[i] : 0.0;
    rare_expected += expected < 10.0 ? expected : 0.0;
    if (expected >= 10.0) add(count[i], expected);
  }
  if (rare_expected > 5.0) add(rare, rare_expected);
  INFO("chi-square " << chi_square << " of " << degrees << " degrees");
  CHECK(chi_square < degrees + 5.0 * std::sqrt(2.0 * degrees) + 10.0);
}

// Chi-square of the first tokens, and of those behind accepted drafts, against the target, and how far the share of
// accepted drafts is from sum min(p, q), in standard deviations. `told` is what the sampler is told of the draft.
void check_rejection(const Setting& setting, const std::vector<float>& told, int draws) {
  const std::size_t columns = setting.target.size();
  reset::SamplerConfig config = make_config(1, 2);
  config.vocabulary = static_cast<std::int32_t>(columns);
  Sampler sampler(config);
  REQUIRE(sampler.add(0, setting.request).ok());
  std::vector<float> probabilities(2 * columns, kNaN);  // nothing is drafted behind the second row
  std::copy(told.begin(), told.end(), probabilities.begin());
  std::mt19937 random(11);
  std::discrete_distribution<std::int32_t> drafts(setting.draft.begin(), setting.draft.end());
  std::vector<int> count(columns, 0);
  std::vector<int> behind(columns, 0);  // an accepted draft
  int accepted = 0;
  for (int n = 0; n < draws; ++n) {
    const std::int32_t draft = drafts(random);
    const Pair pair = step_pair(sampler, setting.logits, draft, 2 * n, probabilities.data());
    ++count[static_cast<std::size_t>(pair.first.token)];
    const bool kept = pair.second.status != reset::RowStatus::kUnused;
    REQUIRE(kept == (pair.first.token == draft));
    accepted += kept ? 1 : 0;
    if (kept) ++behind[static_cast<std::size_t>(pair.second.token)];
  }
  check_counts(behind, setting.target, accepted);
  check_counts(count, setting.target, draws);
  double overlap = 0.0;
  for (std::size_t i = 0; i < count.size(); ++i) overlap += std::fmin(setting.target[i], setting.draft[i]);
  // A draft is also given back where it is rejected and drawn anew: never, for the residual excludes it.
  const double deviation = std::sqrt(overlap * (1.0 - overlap) * draws);
  CHECK(std::fabs(accepted - overlap * draws) < 5.0 * deviation);
}

void check_rejection(const Setting& setting, int draws = kDraws) {
  check_rejection(setting, std::vector<float>(setting.draft.begin(), setting.draft.end()), draws);
}

}  // namespace

TEST_CASE("steps: matched drafts give the tokens and the memory of one row after the other") {
  std::mt19937 random(3);
  int held = 0;
  int broken = 0;
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const RequestParams request = make_request(seed);
    Sampler alone(make_config(1)), together(make_config(1, 5));
    REQUIRE(alone.add(0, request).ok());
    REQUIRE(together.add(0, request).ok());
    for (std::int64_t position = 100; position < 160;) {
      // Drafts from a copy that runs ahead, one of them wrong now and then.
      Sampler ahead(make_config(1));
      REQUIRE(ahead.add(0, request).ok());
      REQUIRE(ahead.import_slot(0, state_of(alone, 0)).ok());
      const std::size_t drafts = random() % 5;
      const std::size_t wrong = random() % 6;
      std::vector<SamplerRow> rows = {{0, reset::kPlaceholderToken, position}};
      std::vector<float> logits = logits_at(seed, position);
      for (std::size_t i = 0; i < drafts; ++i) {
        SampledToken guess;
        REQUIRE(ahead.sample(0, logits_at(seed, rows.back().position).data(), guess).ok());
        const std::int32_t token = i == wrong ? (guess.token + 1) % kVocabulary : guess.token;
        rows.push_back({0, token, rows.back().position + 1});
        append(logits, logits_at(seed, rows.back().position));
      }
      std::vector<SampledToken> results(rows.size());
      REQUIRE(together.step(logits.data(), rows.data(), rows.size(), results.data()).ok());
      for (std::size_t i = 0; i < results.size(); ++i) {
        if (i > wrong) {
          CHECK(results[i].status == reset::RowStatus::kUnused);
          CHECK(results[i].token == reset::kPlaceholderToken);
          ++broken;
          continue;
        }
        SampledToken expected;
        REQUIRE(alone.sample(0, logits_at(seed, position++).data(), expected).ok());
        REQUIRE(same(results[i], expected));
        ++held;
      }
      REQUIRE(same_state(state_of(together, 0), state_of(alone, 0)));
    }
  }
  CHECK(held > 500);
  CHECK(broken > 50);
}

TEST_CASE("steps: what rejection gives is distributed as the target, whatever is drafted") {
  check_rejection(make_setting(1.0f, 0, 1.0f, 0.0f, 0.5));
  check_rejection(make_setting(0.7f, 0, 0.9f, 0.0f, 0.0));
  check_rejection(make_setting(1.3f, 12, 1.0f, 0.0f, 0.9));
  check_rejection(make_setting(1.0f, 20, 0.95f, 0.05f, 0.3));
  // Chunks race first, the last of them not a whole one.
  check_rejection(make_setting(1.0f, 0, 1.0f, 0.0f, 0.2, 2500), kDraws / 4);
  check_rejection(make_setting(0.8f, 2100, 1.0f, 0.0f, 0.2, 2500), kDraws / 8);
}

TEST_CASE("steps: draft probabilities that are negative or NaN count as 0 in what rejection leaves") {
  for (const std::size_t columns : {std::size_t{kVocabulary}, std::size_t{2500}}) {  // one chunk, and several
    for (const int top_k : {0, 30}) {
      Setting setting = make_setting(1.0f, top_k, 1.0f, 0.0f, 0.5, columns);
      double total = 0.0;
      for (std::size_t i = 0; i < columns; ++i) total += setting.draft[i] = i % 4 == 0 ? 0.0 : setting.draft[i];
      for (double& q : setting.draft) q /= total;
      std::vector<float> told(setting.draft.begin(), setting.draft.end());
      for (std::size_t i = 0; i < columns; i += 4) told[i] = i % 8 == 0 ? (i % 16 == 0 ? kNaN : -kNaN) : -0.05f;
      check_rejection(setting, told, columns == kVocabulary ? kDraws / 4 : kDraws / 20);
    }
  }
}

TEST_CASE("steps: a draft whose probability is NaN never holds, nor a negative one where the target gives it none") {
  Setting setting = make_setting(1.0f, 5, 1.0f, 0.0f, 0.5);
  Sampler sampler(make_config(1, 2));
  REQUIRE(sampler.add(0, setting.request).ok());
  const auto best = std::max_element(setting.target.begin(), setting.target.end()) - setting.target.begin();
  const auto none = std::find(setting.target.begin(), setting.target.end(), 0.0) - setting.target.begin();
  int held = 0;
  const auto holds = [&](std::ptrdiff_t draft, float q, int n) {
    const std::vector<float> probabilities(2 * kVocabulary, q);
    const Pair pair = step_pair(sampler, setting.logits, static_cast<std::int32_t>(draft), 2 * n, probabilities.data());
    return pair.second.status != reset::RowStatus::kUnused;
  };
  for (int n = 0; n < 500; ++n) {
    // What replaces the rejected one is a sample of the target, now and then the same token.
    held += holds(best, kNaN, n) ? 1 : 0;
    REQUIRE(holds(best, -0.5f, n));
    REQUIRE_FALSE(holds(none, -0.5f, n));
    REQUIRE_FALSE(holds(none, kNaN, n));
  }
  const double p = setting.target[static_cast<std::size_t>(best)];
  CHECK(std::fabs(held - 500.0 * p) < 5.0 * std::sqrt(500.0 * p * (1.0 - p)));
}

TEST_CASE("steps: where rejection leaves nothing, the token is the slot's own sample") {
  for (const float q : {10.0f, kInfinity}) {
    const Setting setting = make_setting(0.9f, 0, 0.95f, 0.0f, 0.5);
    Sampler sampler(make_config(1, 2)), own(make_config(1, 2));
    REQUIRE(sampler.add(0, setting.request).ok());
    REQUIRE(own.add(0, setting.request).ok());
    const std::vector<float> probabilities(2 * kVocabulary, q);
    int rejected = 0;
    for (int n = 0; n < 300; ++n) {
      const std::int32_t draft = n % kVocabulary;
      const std::int32_t token = step_pair(sampler, setting.logits, draft, 2 * n, probabilities.data()).first.token;
      const std::int32_t sample = step_pair(own, setting.logits, draft, 2 * n, nullptr).first.token;
      if (token == draft && sample != draft) continue;  // accepted
      REQUIRE(token == sample);
      ++rejected;
    }
    CHECK(rejected > 250);
  }
}

TEST_CASE("steps: drafts from the target itself are always accepted, and greedy ones if they are the highest") {
  Setting setting = make_setting(1.0f, 0, 0.9f, 0.0f, 1.0);
  Sampler sampler(make_config(1, 2));
  REQUIRE(sampler.add(0, setting.request).ok());
  std::vector<float> probabilities(2 * kVocabulary, 0.0f);
  for (std::size_t i = 0; i < setting.target.size(); ++i) {
    probabilities[i] = static_cast<float>(setting.target[i] * (1.0 - 1e-6));  // not above p, for all that is rounded
  }
  std::mt19937 random(1);
  std::discrete_distribution<std::int32_t> drafts(setting.target.begin(), setting.target.end());
  for (int n = 0; n < 2000; ++n) {
    const std::int32_t draft = drafts(random);
    REQUIRE(step_pair(sampler, setting.logits, draft, 2 * n, probabilities.data()).first.token == draft);
  }
  setting.request.sampling.temperature = 0.0f;
  REQUIRE(sampler.add(0, setting.request).ok());
  const std::int32_t highest = step_pair(sampler, setting.logits, 0, 0, probabilities.data()).first.token;
  CHECK(step_pair(sampler, setting.logits, highest, 2, probabilities.data()).second.token == highest);
  CHECK(step_pair(sampler, setting.logits, (highest + 1) % kVocabulary, 4, nullptr).first.token == highest);
}

TEST_CASE("steps: refused ones change nothing") {
  Sampler sampler(make_config(1, 2));
  REQUIRE(sampler.add(0, make_request(1)).ok());
  const Sampler::State before = state_of(sampler, 0);
  const std::vector<float> logits = logits_at(1, 100);
  SampledToken result;
  result.token = 77;
  const SamplerRow rows[] = {{1, reset::kPlaceholderToken, 100}};
  CHECK(std::string(sampler.step(logits.data(), rows, 1, &result).argument()) == "slot");
  CHECK_FALSE(sampler.step(static_cast<const float*>(nullptr), rows, 1, &result).ok());
  CHECK(result.token == 77);
  CHECK(same_state(before, state_of(sampler, 0)));
}
