// Rows of a real model, recorded: the device draws the tokens that the host draws, and the host those of the recording.
#include "sampler/device/comparisons.hpp"
#include "sampler/device/detector_launcher.hpp"
#include "sampler/device/tests.hpp"
#include "sampler/recorded_rows.hpp"

namespace device_test {
namespace {

struct Seen {
  int tokens = 0;
  int boundaries = 0;
  int high = 0;
  int parted = 0;
};

void test_trace(const reset::SamplerDevice& device, const reset::SamplerConfig& config,
                const reset::TokenSetTable& table, const sampler_test::RecordedTrace& trace,
                const reset::RequestParams& request, const std::string& name, Seen& seen, Verdict& verdict) {
  using Sampler = SamplerOf<reset::TokenSetDetector>;
  const DeviceArray<std::uint32_t> copy(
      std::vector<std::uint32_t>(table.data(), table.data() + table.size_bytes() / sizeof(std::uint32_t)));
  const DeviceArray<std::uint8_t> memory(Sampler::memory_bytes(config, 1));
  const Sampler sampler(config, 1, device, memory.data(), table.detector(copy.data()));
  reset::ReSETSampler host(config, table.detector());
  check(begin(sampler, request, nullptr), "begin");
  check(host.add(0, request), "add");
  const DeviceArray<float> logits(trace.logits);
  const DeviceArray<reset::SamplerRow> rows({{0, -1, reset::kNextPosition}});
  DeviceArray<reset::SampledToken> results(1);
  const auto width = static_cast<std::size_t>(config.vocabulary);
  for (std::size_t i = 0; i < trace.tokens.size(); ++i) {
    reset::SamplerCall<float> call;
    call.logits = logits.data() + i * width;
    call.rows = rows.data();
    call.count = 1;
    call.results = results.data();
    results.poison();
    check(step_of(sampler, call, nullptr), "sampler_step");
    const reset::SampledToken found = results.download()[0];
    const std::vector<float> row(trace.logits.begin() + static_cast<std::ptrdiff_t>(i * width),
                                 trace.logits.begin() + static_cast<std::ptrdiff_t>((i + 1) * width));
    reset::SampledToken expected;
    check(host.sample(0, row.data(), expected), "sample");
    const std::string at = name + ", token " + std::to_string(i);
    verdict.expect(expected.token == trace.tokens[i], at + ": the host draws another than was recorded");
    ++seen.tokens;
    seen.boundaries += expected.boundary ? 1 : 0;
    seen.high += expected.policy.high ? 1 : 0;
    if (compare_tokens(found, expected, row, request.sampling, at, verdict) == Parting::kNone) continue;
    ++seen.parted;
    return;
  }
}

}  // namespace

int test_recorded(const reset::SamplerDevice& device, bool reduced) {
  Verdict verdict("recorded");
  const sampler_test::RecordedRows recorded = sampler_test::read_recorded(RESET_RECORDED_ROWS);
  verdict.expect(!recorded.traces.empty(), "no traces in " RESET_RECORDED_ROWS);
  if (recorded.traces.empty()) return verdict.failures();
  reset::SamplerConfig config;
  config.vocabulary = recorded.vocabulary;
  const auto ids = [](std::int32_t id) { return id < 0 ? std::vector<std::int32_t>() : std::vector<std::int32_t>{id}; };
  const reset::TokenSetTable table(static_cast<std::size_t>(recorded.vocabulary), ids(recorded.blank_line),
                                   ids(recorded.newline));
  Seen seen;
  for (std::size_t i = 0; i < (reduced ? 1 : recorded.traces.size()); ++i) {
    test_trace(device, config, table, recorded.traces[i], sampler_test::recorded_request(i),
               "trace " + std::to_string(i), seen, verdict);
  }
  std::printf("recorded: %d tokens, %d boundaries, %d at T_high, %d traces part\n", seen.tokens, seen.boundaries,
              seen.high, seen.parted);
  verdict.expect(seen.boundaries > 2 && seen.high > 2 && seen.high < seen.tokens, "a trace of several steps");
  verdict.expect(seen.parted <= 1, "more than one trace parts from the host's");
  return verdict.failures();
}

}  // namespace device_test
