// The generate example as a user runs it on a machine with a GPU; elsewhere this says so and exits with 77.
#define CATCH_CONFIG_RUNNER  // of version 2

#include <algorithm>
#include <string>
#include <vector>

#include "examples/process.hpp"
#include "support/catch.hpp"
#include "support/gpu.hpp"

using Catch::Matchers::Contains;

namespace {

using Arguments = std::vector<std::string>;

// A problem, as the demonstration's model has learnt to read it.
const std::string kPrompt = "^13,10,18:148\n\n";
const Arguments kDemo = {"--model", RESET_REASONER_DIR "/model/nvfp4", "--prompt", kPrompt};

testing::Outcome generate(Arguments arguments, const Arguments& more) {
  arguments.insert(arguments.begin(), RESET_GENERATE);
  arguments.insert(arguments.end(), more.begin(), more.end());
  return testing::run(arguments);
}

void check_refused(const Arguments& arguments, const Arguments& more, const std::string& words) {
  const testing::Outcome outcome = generate(arguments, more);
  CAPTURE(outcome.output);
  CHECK(outcome.exit_code == 2);
  CHECK(std::count(outcome.output.begin(), outcome.output.end(), '\n') == 1);
  CHECK_THAT(outcome.output, Contains("generate: ") && Contains(words));
}

}  // namespace

TEST_CASE("generate solves a problem on the GPU, alone and in a batch") {
  const testing::Outcome alone = generate(kDemo, {"--device", "cuda"});
  CAPTURE(alone.output);
  CHECK(alone.exit_code == 0);
  CHECK_THAT(alone.output, Contains("ans ") && Contains("1 by themselves") && Contains("NVFP4") && !Contains("CPU"));
  const testing::Outcome chosen = generate(kDemo, {});  // the GPU, because there is one
  CHECK_THAT(chosen.output, Contains("ans ") && !Contains("CPU"));
  const testing::Outcome batch = generate(kDemo, {"--device", "cuda", "--batch", "16", "--max-tokens", "200"});
  CAPTURE(batch.output);
  CHECK(batch.exit_code == 0);
  CHECK_THAT(batch.output, Contains("--- 1 of 16, seed 1 ---") && Contains("--- 16 of 16, seed 16 ---"));
  std::size_t answers = 0;
  for (std::size_t at = 0; (at = batch.output.find("ans ", at)) != std::string::npos; ++at) ++answers;
  CHECK(answers >= 12);
  const testing::Outcome early = generate(kDemo, {"--device", "cuda", "--early-stop", "1"});
  CHECK(early.exit_code == 0);
  CHECK_THAT(early.output, Contains(" early, ") || Contains("1 by themselves"));
}

TEST_CASE("generate fills the shapes of a published model with random weights, its head in either form") {
  const Arguments random = {"--random-weights", "r1-distill-qwen-7b", "--max-tokens", "8", "--prompt-tokens", "1,2,3"};
  const testing::Outcome bf16 = generate(random, {"--batch", "2"});
  CAPTURE(bf16.output);
  CHECK(bf16.exit_code == 0);
  CHECK_THAT(bf16.output, Contains("Qwen2 architecture, 28 layers, random weights in NVFP4, head in BF16") &&
                              Contains("prompt of 3 tokens") && Contains("  16 in "));
  const testing::Outcome nvfp4 = generate(random, {"--head", "nvfp4", "--activations", "nvfp4"});
  CAPTURE(nvfp4.output);
  CHECK(nvfp4.exit_code == 0);
  CHECK_THAT(nvfp4.output, Contains("random weights in NVFP4\n") && Contains("  8 in "));
}

TEST_CASE("what a GPU cannot take is told in one sentence") {
  check_refused(kDemo, {"--device", "cuda", "--batch", "17"}, "--device is cuda, and --batch is 17, expected 1..16");
  check_refused({"--random-weights", "qwen3-8b"}, {"--batch", "17"}, "--batch is 17, expected 1..16");
  check_refused(kDemo, {"--device", "cuda", "--activations", "nvfp4"}, "has no input scale");
  check_refused({"--random-weights", "qwen4"}, {}, "model qwen4: no shapes of that name");
  // 170 GB of keys and values.
  check_refused({"--random-weights", "qwen3-32b"}, {"--batch", "16", "--max-tokens", "40000"},
                "free; expected a smaller model, batch or context");
  const testing::Outcome outcome = generate(kDemo, {"--batch", "17", "--max-tokens", "2"});  // the CPU takes it
  CAPTURE(outcome.output);
  CHECK(outcome.exit_code == 0);
  CHECK_THAT(outcome.output, Contains("CPU, "));
}

int main(int argc, char** argv) {
  if (!test_support::has_gpu()) return test_support::kSkipped;
  return Catch::Session().run(argc, argv) == 0 ? 0 : 1;
}
