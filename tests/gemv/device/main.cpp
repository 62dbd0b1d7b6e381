// Runs on a machine with a GPU; elsewhere it says so and exits with 77. Takes `--reduced`, and names of tests; `stress`
// runs only where it is named.
#include <cstdio>

#include "gemv/device/launcher.hpp"
#include "gemv/device/memory.hpp"
#include "gemv/device/tests.hpp"
#include "support/chosen_tests.hpp"
#include "support/gpu.hpp"

int main(int argc, char** argv) {
  test_support::ChosenTests tests(argc, argv);
  if (!test_support::has_gpu()) return test_support::kSkipped;
  reset::DeviceInfo device;
  const reset::Status status = prepare(0, device);
  if (!status.ok()) {
    std::printf("FAILED: %s\n", status.message().c_str());
    return 1;
  }
  std::printf("target %d, %d multiprocessors, %d bytes of shared memory\n", device.arch, device.sm_count,
              device.shared_bytes);
  tests.run("combinations", [&](bool reduced) { return test_combinations(device, reduced); });
  tests.run("shapes", [&](bool reduced) { return test_shapes(device, reduced); });
  tests.run("scales", [&](bool reduced) { return test_scale_tensors(device, reduced); });
  tests.run("policies", [&](bool reduced) { return test_policies(device, reduced); });
  tests.run("ranges", [&](bool reduced) { return test_ranges(device, reduced); });
  tests.run("rows", [&](bool reduced) { return test_rows_are_independent(device, reduced); });
  tests.run("determinism", [&](bool reduced) { return test_determinism(device, reduced); });
  tests.run("graph", [&](bool) { return test_graph(device); });
  tests.run("chains", [&](bool reduced) { return test_chains(device, reduced); });
  tests.run("instances", [&](bool) { return test_instances(device); });
  tests.run("refusals", [&](bool) { return test_refusals(device); });
  tests.run_if_named("stress", [&](bool) { return test_stress(device); });
  return tests.end();
}
