// Runs on a machine with a GPU; elsewhere it says so and exits with 77. With `--reduced` it does what a sanitizer can
// finish in a minute, with `--stress` nothing but the stress test.
#include <cstdio>
#include <cstring>

#include "gemv/device/launcher.hpp"
#include "gemv/device/memory.hpp"
#include "gemv/device/tests.hpp"

int main(int argc, char** argv) {
  const bool reduced = argc > 1 && std::strcmp(argv[1], "--reduced") == 0;
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("skipped: no GPU\n");
    return 77;
  }
  reset::DeviceInfo device;
  const reset::Status status = prepare(0, device);
  if (!status.ok()) {
    std::printf("FAILED: %s\n", status.message().c_str());
    return 1;
  }
  std::printf("target %d, %d multiprocessors, %d bytes of shared memory\n", device.arch, device.sm_count,
              device.shared_bytes);
  if (argc > 1 && std::strcmp(argv[1], "--stress") == 0) return test_stress(device) == 0 ? 0 : 1;
  int failures = test_combinations(device, reduced);
  failures += test_shapes(device, reduced);
  failures += test_scale_tensors(device, reduced);
  failures += test_policies(device, reduced);
  failures += test_ranges(device, reduced);
  failures += test_rows_are_independent(device, reduced);
  failures += test_determinism(device, reduced);
  failures += test_graph(device);
  failures += test_refusals(device);
  std::printf(failures == 0 ? "passed\n" : "%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
