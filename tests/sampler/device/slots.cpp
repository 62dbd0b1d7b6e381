// What a slot keeps and what it does not: a new request in an old slot, imports, parameters that are refused.
#include "sampler/device/requests.hpp"
#include "sampler/device/tests.hpp"

namespace device_test {
namespace {

using reset::kNextPosition;

// Steps a request until everything that a slot remembers is other than at the start: entropies, a detector that is
// inactive, the flag to end early.
void fill(Engine& engine, std::int32_t slot, Verdict& verdict) {
  reset::RequestParams request = make_request(1);
  request.early_stop.patience = 1;
  engine.add(slot, request);
  DeviceSampler::State state;
  for (int i = 0; i < 400; ++i) {
    const DeviceArray<float> logits(row_at(1, i));
    engine.step(logits.data(), {{slot, -1, kNextPosition}});
    state = engine.state(slot);
    if (i > 40 && state.early_stop.stop && !state.mark.active) break;
  }
  verdict.expect(state.early_stop.stop && !state.mark.active && state.policy.cleared > 0, "a slot full of memories");
}

// Whether request 2 gives in `slot`, where it has just begun, what it gives alone.
void expect_as_new(const reset::SamplerDevice& device, Engine& engine, std::int32_t slot, const std::string& name,
                   Verdict& verdict) {
  constexpr int kTokens = 50;
  const Decoded alone = decode_alone(device, 2, kTokens);
  for (int i = 0; i < kTokens; ++i) {
    const DeviceArray<float> logits(row_at(2, kFirst + i));
    const auto found = engine.step(logits.data(), {{slot, -1, kNextPosition}});
    verdict.expect(same_bits(found[0], alone.tokens[static_cast<std::size_t>(i)]),
                   name + ": token " + std::to_string(i));
  }
  verdict.expect(same_states(engine.state(slot), alone.state, kVocabulary), name + ": memory");
}

// A slot is reused without removal as if it were new, rows that wait for a commit among what is forgotten.
void test_reuse(const reset::SamplerDevice& device, Verdict& verdict) {
  Engine engine(device, make_config(2), 2);
  fill(engine, 1, verdict);
  const DeviceArray<float> logits(row_at(1, 0));
  engine.apply(logits.data(), {{1, -1, kNextPosition}});
  engine.add(1, make_request(2));
  const DeviceSampler::State fresh = engine.state(1);
  DeviceSampler::State expected;
  check(engine.host().export_slot(1, expected), "export_slot");
  const std::string differs = difference(fresh, expected, kVocabulary);
  verdict.expect(differs.empty(), "a new request remembers: " + differs);
  engine.commit({1}, {1});
  verdict.expect(same_states(engine.state(1), fresh, kVocabulary), "the old request's row is gone");
  verdict.expect(fresh.tokens == 0 && fresh.next_position == kFirst, "a new request begins at its first position");
  expect_as_new(device, engine, 1, "a slot used before", verdict);
}

void test_imports(const reset::SamplerDevice& device, Verdict& verdict) {
  Engine engine(device, make_config(4), 2);
  fill(engine, 0, verdict);
  const DeviceSampler::State state = engine.state(0);
  const DeviceArray<float> logits(row_at(2, 3));
  // Into a slot that nobody has been added to: it is as it was.
  const DeviceSampler::State unused = engine.state(3);
  engine.import_state(3, state);
  verdict.expect(same_states(engine.state(3), unused, kVocabulary), "an import without a request changes nothing");
  const auto refused = engine.step(logits.data(), {{3, -1, kNextPosition}});
  verdict.expect(refused[0].status == reset::RowStatus::kRefused, "an import makes no request");
  engine.add(3, make_request(2));
  expect_as_new(device, engine, 3, "a slot imported into before", verdict);
  // Rows that wait for a commit are dropped.
  engine.apply(logits.data(), {{0, -1, kNextPosition}});
  engine.import_state(0, state);
  engine.commit({0}, {1});
  verdict.expect(same_states(engine.state(0), state, kVocabulary), "an import drops the rows that were applied");
  for (const std::int32_t slot : {-1, 4}) {
    verdict.expect(!import_state(engine.device(), slot, state, nullptr).ok(), "no import into a slot that is none");
  }
  DeviceSampler::State foreign = state;
  foreign.last_token = kVocabulary;
  verdict.expect(!import_state(engine.device(), 0, foreign, nullptr).ok(), "no token of another vocabulary");
}

// A request that is refused leaves the slot's own as it is.
void test_refusals(const reset::SamplerDevice& device, Verdict& verdict) {
  Engine engine(device, make_config(2), 2);
  engine.add(0, make_request(2));
  const auto refuses = [&](const char* name, auto change) {
    reset::RequestParams request = make_request(1);
    change(request);
    const bool refused = !add(engine.device(), 0, request, nullptr).ok();
    verdict.expect(refused && !update(engine.device(), 0, request, nullptr).ok(), std::string(name) + " is refused");
  };
  using Request = reset::RequestParams;
  refuses("T < 0", [](Request& r) { r.sampling.temperature = -0.5f; });
  refuses("T = NaN", [](Request& r) { r.sampling.temperature = sampler_test::kNaN; });
  refuses("T_low < 0", [](Request& r) { r.reset.t_low = -1.0f; });
  refuses("T_high = NaN", [](Request& r) { r.reset.t_high = sampler_test::kNaN; });
  refuses("T_high = inf", [](Request& r) { r.reset.t_high = sampler_test::kInfinity; });
  refuses("top-p above 1", [](Request& r) { r.sampling.top_p = 1.5f; });
  refuses("a window above 128", [](Request& r) { r.reset.window = 129; });
  refuses("a negative position", [](Request& r) { r.first_position = -1; });
  refuses("a fallback that is no token", [](Request& r) { r.sampling.fallback_token = kVocabulary; });
  verdict.expect(!add(engine.device(), 2, make_request(1), nullptr).ok(), "a slot that is none is refused");
  expect_as_new(device, engine, 0, "a slot whose new requests were refused", verdict);
}

}  // namespace

int test_slots(const reset::SamplerDevice& device) {
  Verdict verdict("slots");
  test_reuse(device, verdict);
  test_imports(device, verdict);
  test_refusals(device, verdict);
  return verdict.failures();
}

}  // namespace device_test
