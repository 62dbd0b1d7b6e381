// Runs on a machine with a GPU; elsewhere it says so and exits with 77. Takes `--reduced`, and names of tests.
#include <cstdio>

#include "sampler/device/harness.hpp"
#include "sampler/device/tests.hpp"
#include "support/chosen_tests.hpp"
#include "support/gpu.hpp"

int main(int argc, char** argv) {
  test_support::ChosenTests tests(argc, argv);
  if (!test_support::has_gpu()) return test_support::kSkipped;
  reset::SamplerDevice device;
  device_test::check(device_test::prepare(0, device), "sampler_prepare");
  std::printf("target %d, %d multiprocessors\n", device.arch, device.sm_count);
  tests.run("entropy_logits", [&](bool reduced) { return device_test::test_entropy_logits(device, reduced); });
  tests.run("options", [&](bool) { return device_test::test_options(device); });
  tests.run("rows", [&](bool reduced) { return device_test::test_rows(device, reduced); });
  tests.run("invariance", [&](bool reduced) { return device_test::test_invariance(device, reduced); });
  tests.run("traces", [&](bool reduced) { return device_test::test_traces(device, reduced); });
  tests.run("recorded", [&](bool reduced) { return device_test::test_recorded(device, reduced); });
  tests.run("detectors", [&](bool reduced) { return device_test::test_detectors(device, reduced); });
  tests.run("misuse", [&](bool) { return device_test::test_misuse(device); });
  tests.run("graph", [&](bool) { return device_test::test_graph(device); });
  tests.run("drafts", [&](bool reduced) { return device_test::test_drafts(device, reduced); });
  tests.run("rejection", [&](bool reduced) { return device_test::test_rejection(device, reduced); });
  tests.run("slots", [&](bool) { return device_test::test_slots(device); });
  tests.run("updates", [&](bool) { return device_test::test_updates(device); });
  tests.run("distribution", [&](bool reduced) { return device_test::test_distribution(device, reduced); });
  return tests.end();
}
