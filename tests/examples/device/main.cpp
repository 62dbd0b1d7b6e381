// Runs on a machine with a GPU; elsewhere it says so and exits with 77. Takes `--reduced`, and names of parts, which
// are the tags of their tests.
#define CATCH_CONFIG_RUNNER  // of version 2

#include <string>

#include "examples/device/reduced.hpp"
#include "support/catch.hpp"
#include "support/chosen_tests.hpp"
#include "support/gpu.hpp"

int main(int argc, char** argv) {
  test_support::ChosenTests tests(argc, argv);
  if (!test_support::has_gpu()) return test_support::kSkipped;
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
