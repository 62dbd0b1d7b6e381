#include <type_traits>

#include <reset/sampler/boundary/any_of.hpp>
#include <reset/sampler/boundary/gated.hpp>
#include <reset/sampler/boundary/interval.hpp>
#include <reset/sampler/boundary/none.hpp>
#include <reset/sampler/boundary/text_delimiters.hpp>
#include <reset/sampler/boundary/token_set.hpp>
#include <reset/sampler/device_sampler.hpp>
#include <reset/sampler/reset_sampler.hpp>

#include "boundary_support.hpp"
#include "support/catch.hpp"

using namespace boundary_test;

namespace {

constexpr std::int32_t kOpen = 8;
constexpr std::int32_t kClose = 9;

// '|' and '.' where the policy applies to the next token, '!' and ' ' where it does not.
template <class Detector>
std::string marks(const Detector& detector, const std::vector<std::int32_t>& tokens) {
  typename Detector::State state = detector.initial_state();
  std::string result;
  for (const std::int32_t token : tokens) {
    const reset::StepMark mark = detector.observe(state, event(token));
    result += mark.active ? (mark.boundary ? '|' : '.') : (mark.boundary ? '!' : ' ');
  }
  return result;
}

}  // namespace

TEST_CASE("a fixed interval cuts every n tokens and does not count placeholders") {
  CHECK(boundaries(reset::FixedInterval(3), {1, 1, 1, 1, 1, 1, 1}) == "..|..|.");
  CHECK(boundaries(reset::FixedInterval(1), {1, 2, 3}) == "|||");
  CHECK(boundaries(reset::FixedInterval(2), {1, -1, -1, 1, 1, -1, 1}) == "...|..|");
  CHECK(boundaries(reset::FixedInterval(std::int64_t{1} << 40), {1, 2, 3}) == "...");
  CHECK(boundaries_with_exports(reset::FixedInterval(3), {1, 1, 1, 1, 1, 1, 1}) == "..|..|.");
}

TEST_CASE("an interval of no tokens is refused") {
  CHECK_THROWS_WITH(reset::FixedInterval(0), "invalid argument: tokens is 0, expected 1 or more");
  CHECK_THROWS_AS(reset::FixedInterval(-5), reset::Error);
  CHECK_FALSE(reset::FixedInterval::validate(0).ok());
}

TEST_CASE("any-of finds what one of its detectors finds, and each goes on by itself") {
  const reset::TokenSetTable newlines(10, {2}, {1});
  const reset::AnyOf detector(newlines.detector(), reset::FixedInterval(4), reset::NoDetector());
  // The interval is not restarted by the boundaries of the other.
  CHECK(boundaries(detector, {2, 0, 1, 1, 1, 0, 0, 0, 2}) == "|..||..||");
  CHECK(boundaries_with_exports(detector, {2, 0, 1, 1, 1, 0, 0, 0, 2}) == "|..||..||");
  CHECK(reset::initially_active(detector));
}

TEST_CASE("any-of equals the disjunction of its detectors over random streams") {
  std::mt19937 random(40);
  const reset::Vocabulary vocabulary = make_vocabulary({"a", "\n", "\n\n", ".\n", "b", "ab", "Wa", "it"});
  const auto tokens = random_tokens(random, 20000, 8);
  const auto set = reset::TokenSetTable::published_rule(vocabulary);
  const reset::TextDelimiterTable text(vocabulary, {"Wait", "bb"});
  const reset::FixedInterval interval(7);
  const std::string a = boundaries(set.detector(), tokens);
  const std::string b = boundaries(text.detector(), tokens);
  const std::string c = boundaries(interval, tokens);
  std::string expected;
  for (std::size_t i = 0; i < tokens.size(); ++i) expected += a[i] == '|' || b[i] == '|' || c[i] == '|' ? '|' : '.';
  CHECK(boundaries(reset::AnyOf(set.detector(), text.detector(), interval), tokens) == expected);
  CHECK(boundaries(reset::AnyOf(reset::AnyOf(interval, text.detector()), set.detector()), tokens) == expected);
}

TEST_CASE("a gate shows its detector only what stands between its tokens") {
  const reset::Gated detector(reset::FixedInterval(2), kOpen, kClose);
  CHECK_FALSE(reset::initially_active(detector));
  CHECK(marks(detector, {1, 1, 1, kOpen, 1, 1, 1, kClose, 1, 1}) == "   |.|.   ");
}

TEST_CASE("every opening begins afresh") {
  const reset::Gated detector(reset::FixedInterval(2), kOpen, kClose);
  CHECK(marks(detector, {kOpen, 1, kClose, kOpen, 1, 1, kClose, kOpen, 1}) == "|. |.| |.");
}

TEST_CASE("an opening token inside and a closing one outside are tokens like any other") {
  const reset::Gated detector(reset::FixedInterval(2), kOpen, kClose);
  CHECK(marks(detector, {kClose, kOpen, kOpen, 1, 1, kOpen, kClose, kClose}) == " |.|.|  ");
}

TEST_CASE("a gate that the prompt has opened is open") {
  const reset::Gated detector(reset::FixedInterval(2), kOpen, kClose, true);
  CHECK(reset::initially_active(detector));
  CHECK(marks(detector, {1, 1, 1, kClose, 1, kOpen, 1, 1}) == ".|.  |.|");
}

TEST_CASE("a gate passes placeholders by") {
  const reset::Gated detector(reset::FixedInterval(2), kOpen, kClose);
  CHECK(marks(detector, {-1, kOpen, 1, -1, 1, kClose, -1}) == " |..|  ");
}

TEST_CASE("gates combine: any-of is active where all are, and gates nest") {
  const reset::Gated gated(reset::FixedInterval(2), kOpen, kClose);
  const reset::AnyOf any(gated, reset::FixedInterval(5));
  CHECK_FALSE(reset::initially_active(any));
  CHECK(marks(any, {1, kOpen, 1, 1, 1, 1, kClose, 1, 1, 1}) == " |.|||   !");

  const reset::Gated nested(reset::Gated(reset::FixedInterval(1), 5, 6), kOpen, kClose);
  CHECK(marks(nested, {5, kOpen, 1, 5, 1, 6, 1, kClose, 5}) == " ! ||    ");
  CHECK_FALSE(reset::initially_active(reset::Gated(reset::Gated(reset::FixedInterval(1), 5, 6), 8, 9, true)));
}

TEST_CASE("gate states can be exported between any two tokens") {
  const reset::Gated detector(reset::FixedInterval(2), kOpen, kClose);
  const std::vector<std::int32_t> tokens = {1, kOpen, 1, 1, 1, kClose, 1, kOpen, 1, 1};
  CHECK(boundaries_with_exports(detector, tokens) == boundaries(detector, tokens));
}

TEST_CASE("gates of tokens that the vocabulary does not have are refused by its samplers") {
  const reset::AnyOf detector(reset::FixedInterval(2), reset::Gated(reset::Gated(reset::NoDetector(), 30, 31), 7, 32));
  const std::string refusal = "invalid argument: close_token is 32, expected 0..vocabulary-1 (31)";
  CHECK(detector.fits(33).ok());
  CHECK(detector.fits(32).message() == refusal);
  CHECK(detector.fits(7).message() == "invalid argument: open_token is 7, expected 0..vocabulary-1 (6)");
  CHECK(reset::Gated(reset::Gated(reset::NoDetector(), 30, 31), 7, 8).fits(31).message() ==
        "invalid argument: close_token is 31, expected 0..vocabulary-1 (30)");
  reset::SamplerConfig config;
  config.vocabulary = 32;
  using Detector = std::remove_const_t<decltype(detector)>;
  CHECK_THROWS_WITH((reset::ReSETSampler<Detector, reset::HostBackend>(config, detector)), refusal);
  reset::SamplerDevice device;
  device.sm_count = 1;
  alignas(256) unsigned char memory[256];
  CHECK_THROWS_WITH((reset::ReSETSampler<Detector, reset::DeviceBackend>(config, 1, device, memory, detector)),
                    refusal);
}

TEST_CASE("a gate of tokens that do not exist is refused") {
  using Gate = reset::Gated<reset::NoDetector>;
  CHECK_THROWS_WITH(Gate({}, -1, 5), "invalid argument: open_token is -1, expected a token id, 0 or more");
  CHECK_THROWS_WITH(Gate({}, 5, -1), "invalid argument: close_token is -1, expected a token id, 0 or more");
  CHECK_THROWS_WITH(Gate({}, 5, 5), "invalid argument: close_token is 5, expected an id other than open_token");
}
