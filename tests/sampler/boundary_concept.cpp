#include <reset/sampler/boundary/any_of.hpp>
#include <reset/sampler/boundary/detector.hpp>
#include <reset/sampler/boundary/entropy_shift.hpp>
#include <reset/sampler/boundary/gated.hpp>
#include <reset/sampler/boundary/interval.hpp>
#include <reset/sampler/boundary/none.hpp>
#include <reset/sampler/boundary/text_delimiters.hpp>
#include <reset/sampler/boundary/token_set.hpp>

#include "boundary_support.hpp"
#include "support/catch.hpp"

using namespace boundary_test;

namespace {

// What a user writes: a boundary after every full stop.
struct EveryFullStop {
  struct State {};
  std::int32_t full_stop;
  RESET_HOST_DEVICE State initial_state() const { return {}; }
  RESET_HOST_DEVICE reset::StepMark observe(State&, const reset::TokenEvent& event) const {
    return event.token == full_stop;
  }
};

struct PositionsAbove {
  using State = std::int32_t;
  std::int64_t limit;
  State initial_state() const { return 0; }
  bool observe(State& seen, const reset::TokenEvent& event) const {
    ++seen;
    return event.position > limit;
  }
  bool initially_active() const { return false; }
};

struct WithoutState {
  int initial_state() const { return 0; }
  bool observe(int&, const reset::TokenEvent&) const { return false; }
};
struct StateOnTheHeap {
  using State = std::vector<int>;
  State initial_state() const { return {}; }
  bool observe(State&, const reset::TokenEvent&) const { return false; }
};
struct WithoutInitialState {
  struct State {};
  bool observe(State&, const reset::TokenEvent&) const { return false; }
};
struct ObserveNotConst {
  struct State {};
  State initial_state() const { return {}; }
  bool observe(State&, const reset::TokenEvent&) { return false; }
};
struct ObserveReturnsNothing {
  struct State {};
  State initial_state() const { return {}; }
  void observe(State&, const reset::TokenEvent&) const {}
};
struct ObserveReturnsId {
  struct State {};
  State initial_state() const { return {}; }
  std::int32_t observe(State&, const reset::TokenEvent& event) const { return event.token; }
};
struct OwnsMemory : EveryFullStop {
  std::string name;
};

template <class T>
constexpr bool is_plain_v = std::is_trivially_copyable_v<T>&& std::is_trivially_copyable_v<typename T::State>;

using Everything =
    reset::AnyOf<reset::Gated<reset::AnyOf<reset::TokenSetDetector, EveryFullStop>>, reset::TextDelimiterDetector,
                 reset::FixedInterval, reset::EntropyShift, reset::NoDetector>;

static_assert(is_plain_v<reset::NoDetector> && reset::is_step_detector_v<reset::NoDetector>);
static_assert(is_plain_v<reset::TokenSetDetector> && sizeof(reset::TokenSetDetector::State) == 1);
static_assert(is_plain_v<reset::TextDelimiterDetector> && sizeof(reset::TextDelimiterDetector::State) == 2);
static_assert(is_plain_v<reset::FixedInterval> && sizeof(reset::FixedInterval::State) == 8);
static_assert(is_plain_v<reset::EntropyShift> && sizeof(reset::EntropyShift::State) == 32);
static_assert(is_plain_v<Everything> && reset::is_step_detector_v<Everything>);
static_assert(std::is_trivially_copyable_v<reset::TokenEvent> && std::is_trivially_copyable_v<reset::StepMark>);
static_assert(reset::is_step_detector_v<EveryFullStop> && reset::is_step_detector_v<PositionsAbove>);

static_assert(!reset::is_step_detector_v<int>);
static_assert(!reset::is_step_detector_v<WithoutState>);
static_assert(!reset::is_step_detector_v<StateOnTheHeap>);
static_assert(!reset::is_step_detector_v<WithoutInitialState>);
static_assert(!reset::is_step_detector_v<ObserveNotConst>);
static_assert(!reset::is_step_detector_v<ObserveReturnsNothing>);
static_assert(!reset::is_step_detector_v<ObserveReturnsId>);
static_assert(!reset::is_step_detector_v<OwnsMemory>);

// Of all that converts to bool, only bool is a mark.
static_assert(std::is_convertible_v<bool, reset::StepMark> && std::is_convertible_v<const bool&, reset::StepMark>);
static_assert(!std::is_constructible_v<reset::StepMark, int> && !std::is_constructible_v<reset::StepMark, double>);
static_assert(!std::is_constructible_v<reset::StepMark, const char*>);
static_assert(!std::is_constructible_v<reset::StepMark, std::vector<bool>::reference>);

// A table that dies at the end of the line gives no detector.
template <class Table, class = void>
constexpr bool temporary_gives_detector_v = false;
template <class Table>
constexpr bool temporary_gives_detector_v<Table, std::void_t<decltype(std::declval<Table&&>().detector())>> = true;
static_assert(!temporary_gives_detector_v<reset::TokenSetTable>);
static_assert(!temporary_gives_detector_v<reset::TextDelimiterTable>);
static_assert(temporary_gives_detector_v<const reset::TokenSetTable&>);

}  // namespace

TEST_CASE("a user's type is a detector in ten lines") {
  CHECK(boundaries(EveryFullStop{7}, {1, 7, 7, 2, -1, 7}) == ".||..|");
  const reset::AnyOf both(EveryFullStop{7}, EveryFullStop{2});
  CHECK(boundaries(both, {1, 7, 7, 2, -1, 7}) == ".|||.|");
}

TEST_CASE("a detector that returns a plain bool and keeps a plain number is one too") {
  const PositionsAbove detector{101};
  CHECK(boundaries(detector, {5, 5, 5, 5}) == "..||");
  const reset::AnyOf wrapped(detector);
  auto state = wrapped.initial_state();
  CHECK_FALSE(wrapped.observe(state, event(0, 0.5f, 101)).boundary);
  const reset::StepMark mark = wrapped.observe(state, event(0, 0.5f, 102));
  CHECK(mark.boundary);
  CHECK(mark.active);
  CHECK(state == 2);
}

TEST_CASE("a bool is a mark with the policy applied") {
  const reset::StepMark yes = true;
  const reset::StepMark no = false;
  const reset::StepMark off = {true, false};
  CHECK((yes.boundary && yes.active));
  CHECK((!no.boundary && no.active));
  CHECK((off.boundary && !off.active));
  CHECK((!reset::StepMark().boundary && reset::StepMark().active));
}

TEST_CASE("initially_active is true unless a detector says otherwise") {
  CHECK(reset::initially_active(EveryFullStop{1}));
  CHECK(reset::initially_active(reset::NoDetector()));
  CHECK_FALSE(reset::initially_active(PositionsAbove{1}));
}

TEST_CASE("no detector finds no boundary") {
  CHECK(boundaries(reset::NoDetector(), {0, -1, 198, 198, 271, 2147483647}) == "......");
}

TEST_CASE("a vocabulary grows, finds its tokens and is checked") {
  reset::Vocabulary vocabulary;
  CHECK_FALSE(vocabulary.validate().ok());
  vocabulary.set(3, "<think>", true);
  CHECK(vocabulary.validate().ok());
  CHECK(vocabulary.size() == 4);
  CHECK(vocabulary.bytes[0].empty());
  CHECK(vocabulary.special == std::vector<std::uint8_t>{0, 0, 0, 1});
  vocabulary.resize(6);
  CHECK(vocabulary.size() == 6);
  CHECK(vocabulary.find("<think>") == 3);
  CHECK(vocabulary.find("</think>") == -1);
  vocabulary.special.pop_back();
  CHECK(vocabulary.validate().message() ==
        "invalid argument: vocabulary.special.size() is 5, expected vocabulary.bytes.size()");
}
