// generate: a prompt in, text out, on the CPU or a GPU, each token at the temperature that ReSET gives it.
//
//   cmake --build build/test --target generate
//   build/test/examples/generate/generate --model Qwen3-8B-NVFP4 --prompt "The sum of the first 100 primes is"

#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "options.hpp"
#include "run.hpp"

int main(int argc, char** argv) {
  constexpr int kFailure = 2;
  try {
    const generate::Options options = generate::parse_options(std::vector<std::string>(argv + 1, argv + argc));
    if (options.help) {
      std::fputs(generate::usage(), stdout);
      return 0;
    }
    generate::run(options);
    return 0;
  } catch (const std::bad_alloc&) {
    std::fputs("generate: out of memory, expected a smaller model, --batch or --max-tokens\n", stderr);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "generate: %s\n", error.what());
  }
  return kFailure;
}
