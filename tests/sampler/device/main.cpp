// Runs on a machine with a GPU; elsewhere it says so and exits with 77. With `--reduced` it does what a sanitizer can
// finish in a minute.
#include <cstdio>
#include <cstring>

#include "sampler/device/harness.hpp"
#include "sampler/device/tests.hpp"

int main(int argc, char** argv) {
  const bool reduced = argc > 1 && std::strcmp(argv[1], "--reduced") == 0;
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("skipped: no GPU\n");
    return 77;
  }
  reset::SamplerDevice device;
  device_test::check(device_test::prepare(0, device), "sampler_prepare");
  std::printf("target %d, %d multiprocessors\n", device.arch, device.sm_count);
  int failures = device_test::test_rows(device, reduced);
  failures += device_test::test_invariance(device, reduced);
  failures += device_test::test_traces(device, reduced);
  failures += device_test::test_misuse(device);
  failures += device_test::test_graph(device);
  failures += device_test::test_drafts(device);
  failures += device_test::test_distribution(device, reduced);
  std::printf(failures == 0 ? "passed\n" : "%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
