#include "boundary_cuda.hpp"

#include <algorithm>
#include <vector>

#include "boundary_support.hpp"
#include "support/catch.hpp"
#include "support/gpu.hpp"

using namespace boundary_test;

namespace {

constexpr std::uint8_t kPoison = 0xee;

Tables make_tables() {
  reset::Vocabulary vocabulary =
      make_vocabulary({"a", "\n", "\n\n", ".\n", "Wa", "<think>", "</think>", "it", " b"}, {5, 6});
  vocabulary.resize(1000);
  return {reset::TokenSetTable::published_rule(vocabulary), reset::TextDelimiterTable(vocabulary, {"Wait", "\n\n"})};
}

// Levels of entropy that shift, some entropies that are not finite, some ids that do not exist.
std::vector<reset::TokenEvent> make_events() {
  std::mt19937 random(60);
  std::vector<reset::TokenEvent> events;
  for (std::int64_t i = 0; i < 20000; ++i) {
    const float level = i / 300 % 2 == 0 ? 0.4f : 1.7f;
    const float entropy = level + static_cast<float>(random() % 4096) / 2500.0f;
    const bool bad = random() % 50 == 0;
    events.push_back({static_cast<std::int32_t>(random() % 12) - 1, bad ? from_bits(0x7fc00000u) : entropy, i});
  }
  return events;
}

}  // namespace

TEST_CASE("host code of nvcc and of the host compiler mark the same tokens", "[host]") {
  const Tables tables = make_tables();
  const std::vector<reset::TokenEvent> events = make_events();
  const Everything detector = everything(tables.set.detector(), tables.text.detector());
  std::vector<std::uint8_t> expected(events.size(), kPoison);
  std::vector<std::uint8_t> found(events.size(), kPoison);
  observe_all(detector, events.data(), events.size(), expected.data());
  observe_all_by_nvcc(detector, events.data(), events.size(), found.data());
  for (const int mark : {0, 1, 2, 3}) CHECK(std::count(expected.begin(), expected.end(), mark) > 100);
  CHECK(found == expected);
}

TEST_CASE("device and host mark the same tokens", "[gpu]") {
  if (!test_support::has_gpu()) return;
  const Tables tables = make_tables();
  const std::vector<reset::TokenEvent> events = make_events();
  std::vector<std::uint8_t> expected(events.size(), kPoison);
  std::vector<std::uint8_t> found(events.size(), kPoison);
  observe_all(everything(tables.set.detector(), tables.text.detector()), events.data(), events.size(), expected.data());
  REQUIRE(observe_all_on_device(tables, events.data(), events.size(), found.data()) == "no error");
  CHECK(found == expected);
}
