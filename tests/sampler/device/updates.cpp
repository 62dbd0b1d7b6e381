// Parameters that change while a request runs: each against a host whose request goes on with the new ones.
#include "sampler/device/requests.hpp"
#include "sampler/device/tests.hpp"

namespace device_test {
namespace {

using Request = reset::RequestParams;

struct Change {
  const char* name;
  void (*make)(Request&);
};

constexpr Change kChanges[] = {
    {"T_low", [](Request& r) { r.reset.t_low = 0.9f; }},
    {"T_high", [](Request& r) { r.reset.t_high = 1.6f; }},
    {"tau_0", [](Request& r) { r.reset.tau0 = 0.7f; }},
    {"window", [](Request& r) { r.reset.window = 1; }},
    {"history", [](Request& r) { r.reset.history = reset::HistoryMode::kIncludeCurrent; }},
    {"top-k", [](Request& r) { r.sampling.top_k = 2; }},
    {"top-p", [](Request& r) { r.sampling.top_p = 0.6f; }},
    {"min-p", [](Request& r) { r.sampling.min_p = 0.3f; }},
    {"seed", [](Request& r) { r.seed = 4711; }},
    {"temperature where the policy does not rule", [](Request& r) { r.sampling.temperature = 2.0f; }},
    {"ReSET off", [](Request& r) { r.reset_enabled = false; }},
    {"early stop", [](Request& r) { r.early_stop.patience = 1; }},
};
constexpr int kSlots = static_cast<int>(std::size(kChanges));

Request base_request(int slot) {
  Request request = make_request(4);
  request.reset.window = 24;
  request.seed = static_cast<std::uint64_t>(slot);
  request.early_stop.patience = 1000;
  return request;
}

void change_host(HostSampler& host, std::int32_t slot, const Request& request) {
  HostSampler::State state;
  check(host.export_slot(slot, state), "export_slot");
  check(host.add(slot, request), "add");
  check(host.import_slot(slot, state), "import_slot");
}

bool differs(const reset::SampledToken& a, const reset::SampledToken& b) {
  return a.token != b.token || a.policy.temperature != b.policy.temperature ||
         a.policy.threshold != b.policy.threshold || a.policy.step_mean != b.policy.step_mean || a.stop != b.stop;
}

}  // namespace

int test_updates(const reset::SamplerDevice& device) {
  constexpr int kTokens = 160;
  constexpr int kChanged = 50;  // at that token; and back at twice that
  Verdict verdict("updates");
  const reset::SamplerConfig config = make_config(kSlots);
  Engine engine(device, config, kSlots);
  const Tables tables(kVocabulary);
  HostSampler unchanged(config, tables.host());
  std::vector<reset::SamplerRow> rows;
  for (int slot = 0; slot < kSlots; ++slot) {
    engine.add(slot, base_request(slot));
    check(unchanged.add(slot, base_request(slot)), "add");
    rows.push_back({slot, -1, reset::kNextPosition});
  }
  std::vector<bool> parted(kSlots, false);
  std::vector<int> differ(kSlots, 0);  // tokens that are drawn otherwise than without the change
  for (int time = 0; time < kTokens; ++time) {
    std::vector<float> logits;
    for (int slot = 0; slot < kSlots; ++slot) {
      const std::vector<float> row = row_at(slot, time);
      logits.insert(logits.end(), row.begin(), row.end());
    }
    const DeviceArray<float> memory(logits);
    std::vector<Request> requests;
    for (int slot = 0; slot < kSlots; ++slot) {
      requests.push_back(base_request(slot));
      if (time >= kChanged && time < 2 * kChanged) kChanges[slot].make(requests.back());
      if (time % kChanged != 0) continue;
      requests.back().first_position = 777;  // not read
      check(update(engine.device(), slot, requests.back(), nullptr), "sampler_update");
      change_host(engine.host(), slot, requests.back());
    }
    const auto found = engine.step(memory.data(), rows);
    for (int slot = 0; slot < kSlots; ++slot) {
      const std::size_t s = static_cast<std::size_t>(slot);
      const std::vector<float> row = row_at(slot, time);
      reset::SampledToken expected;
      reset::SampledToken without;
      check(engine.host().sample(slot, row.data(), expected), "sample");
      check(unchanged.sample(slot, row.data(), without), "sample");
      differ[s] += differs(expected, without) ? 1 : 0;
      if (parted[s]) continue;
      const std::string name = std::string(kChanges[slot].name) + ", token " + std::to_string(time);
      parted[s] = compare_tokens(found[s], expected, row, requests[s].sampling, name, verdict) != Parting::kNone;
    }
  }
  for (int slot = 0; slot < kSlots; ++slot) {
    const std::size_t s = static_cast<std::size_t>(slot);
    verdict.expect(differ[s] > 0, std::string(kChanges[slot].name) + " changes nothing");
  }
  return verdict.failures();
}

}  // namespace device_test
