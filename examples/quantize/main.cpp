// quantize IN OUT: a BF16, FP16 or FP32 safetensors checkpoint in, an NVFP4 checkpoint out.
//
//   cmake --build build/test --target quantize && build/test/examples/quantize/quantize model out --rule scale-sweep

#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "interrupt.hpp"
#include "quantize.hpp"

int main(int argc, char** argv) {
  try {
    const quantize::Options options = quantize::parse_options(std::vector<std::string>(argv + 1, argv + argc));
    if (options.help) {
      std::fputs(quantize::usage(), stdout);
      return 0;
    }
    quantize::remember_interrupts();
    quantize::run(options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "quantize: %s\n", error.what());
    if (quantize::interrupt() != 0) std::raise(quantize::interrupt());  // so that a script that called it ends, too
    return 1;
  }
}
