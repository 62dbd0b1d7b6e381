// Runs on a machine with a GPU; elsewhere it says so and exits with 77. Takes `--reduced`, and names of parts, which
// are the tags of their tests.
#define CATCH_CONFIG_RUNNER  // of version 2

#include <cuda_runtime_api.h>

#include <cstdio>
#include <string>

#include "examples/device/reduced.hpp"
#include "support/catch.hpp"
#include "support/chosen_tests.hpp"

int main(int argc, char** argv) {
  test_support::ChosenTests tests(argc, argv);
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("skipped: no GPU\n");
    return 77;
  }
  Catch::Session session;
  for (const char* part : {"rows", "merge", "attention", "logits", "w4a4", "steps", "generator"}) {
    tests.run(part, [&](bool reduced) {
      testing::reduced = reduced;
      auto config = session.configData();
      config.testsOrTags = {"[" + std::string(part) + "]"};
      session.useConfigData(config);
      return session.run() == 0 ? 0 : 1;
    });
  }
  return tests.end();
}
