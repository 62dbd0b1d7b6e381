// Each detector alone, as an engine has it: short requests, token for token against the host sampler.
#include "sampler/device/detector_launcher.hpp"
#include "sampler/device/requests.hpp"
#include "sampler/device/tests.hpp"

namespace device_test {
namespace {

// `request` of requests.hpp with either history; `ends_steps` says whether the detector ever finds a boundary.
template <class Detector>
void test_alone(const reset::SamplerDevice& device, const std::string& name, const Detector& on_host,
                const Detector& on_device, int request_index, bool ends_steps, int tokens, Verdict& verdict) {
  const reset::SamplerConfig config = make_config(1);
  const DeviceArray<std::uint8_t> memory(SamplerOf<Detector>::memory_bytes(config, 1));
  const SamplerOf<Detector> sampler(config, 1, device, memory.data(), on_device);
  reset::ReSETSampler<Detector> host(config, on_host);
  const reset::RequestParams request = make_request(request_index);
  check(begin(sampler, request, nullptr), "begin");
  check(host.add(0, request), "add");
  const DeviceArray<reset::SamplerRow> rows({{0, -1, reset::kNextPosition}});
  DeviceArray<reset::SampledToken> results(1);
  int boundaries = 0;
  bool parted = false;
  for (int time = 0; time < tokens && !parted; ++time) {
    const std::vector<float> row = row_at(request_index, time);
    const DeviceArray<float> logits(row);
    reset::SamplerCall<float> call;
    call.logits = logits.data();
    call.rows = rows.data();
    call.count = 1;
    call.results = results.data();
    results.poison();
    check(step_of(sampler, call, nullptr), "sampler_step");
    const reset::SampledToken found = results.download()[0];
    reset::SampledToken expected;
    check(host.sample(0, row.data(), expected), "sample");
    boundaries += found.boundary ? 1 : 0;
    parted = compare_tokens(found, expected, row, request.sampling, name + ", token " + std::to_string(time),
                            verdict) != Parting::kNone;
  }
  verdict.expect(parted || (boundaries > 0) == ends_steps, name + ": " + std::to_string(boundaries) + " boundaries");
}

}  // namespace

int test_detectors(const reset::SamplerDevice& device, bool reduced) {
  Verdict verdict("detectors");
  const Tables tables(kVocabulary);
  const auto set = tables.token_set();
  const auto set_copy = tables.token_set_on_device();
  constexpr std::int32_t kOpen = 5;
  constexpr std::int32_t kClose = 6;
  for (const int request : {0, 2}) {  // one of each history
    const auto test = [&](const char* name, const auto& on_host, const auto& on_device, bool ends_steps) {
      test_alone(device, name, on_host, on_device, request, ends_steps, reduced ? 80 : 150, verdict);
    };
    test("none", reset::NoDetector(), reset::NoDetector(), false);
    test("token set", set, set_copy, true);
    test("text delimiters", tables.text(), tables.text_on_device(), true);
    test("interval", reset::FixedInterval(11), reset::FixedInterval(11), true);
    const reset::EntropyShift shift({0.1, 1.5, 4});
    test("entropy shift", shift, shift, true);
    test("gated", GatedDetector(set, kOpen, kClose), GatedDetector(set_copy, kOpen, kClose), true);
    constexpr EveryFullStop kOwn{3};
    test("an own one", OwnDetector(kOwn, set), OwnDetector(kOwn, set_copy), true);
  }
  return verdict.failures();
}

}  // namespace device_test
