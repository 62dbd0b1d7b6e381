#include "make_generator.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <limits>
#include <thread>
#include <utility>

#include <reset/status.hpp>

#include "gpu.hpp"

namespace generate {
namespace {

std::string gigabytes(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GB", bytes / 1e9);
  return text;
}

// What the kernel says can be had without swapping; without limit where it does not say.
double available_memory() {
  std::ifstream file("/proc/meminfo");
  std::string name;
  double kilobytes = 0;
  for (std::string rest; file >> name >> kilobytes; std::getline(file, rest)) {
    if (name == "MemAvailable:") return kilobytes * 1024;
  }
  return std::numeric_limits<double>::max();
}

// Memory that is asked for is had at once, and used only later: too much of it ends the program without a word.
void require_memory(const engine::ModelConfig& config, const engine::GeneratorOptions& sizes) {
  const double token = static_cast<double>(2 * config.layers * config.kv_heads * config.head_dim) * sizeof(float);
  const double needed = token * static_cast<double>(sizes.slots) * static_cast<double>(sizes.context);
  const double available = available_memory();
  if (needed <= available) return;
  throw reset::Error("keys and values of " + std::to_string(sizes.slots) + " x " + std::to_string(sizes.context) +
                     " tokens need " + gigabytes(needed) + " and " + gigabytes(available) +
                     " of memory are free, expected a smaller --batch or --max-tokens");
}

}  // namespace

ChosenGenerator make_generator(const Options& options, const Model& model, reset::TokenSetTable boundaries,
                               const engine::GeneratorOptions& sizes, engine::InputMaxima* maxima) {
  if (model.weights == nullptr)
    return make_random_generator(model.config, boundaries, sizes, options.nvfp4_head.value_or(false));
  const engine::Weights& weights = *model.weights;
  // Ranges are recorded by the CPU's engine alone.
  const bool prefers_gpu = options.device == Device::kAutomatic && maxima == nullptr;
  if (prefers_gpu && gpu_serves(sizes.slots)) return make_gpu_generator(weights, boundaries, sizes);
  if (options.device == Device::kCuda) {
    try {
      return make_gpu_generator(weights, boundaries, sizes);
    } catch (const reset::Error& error) {
      throw reset::Error(std::string("--device is cuda, and ") + error.what());
    }
  }
  require_memory(weights.config, sizes);
  const int threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 64U));
  return {nullptr, engine::make_host_generator(weights, std::move(boundaries), sizes, threads, maxima),
          "CPU, " + std::to_string(threads) + (threads == 1 ? " thread" : " threads")};
}

}  // namespace generate
