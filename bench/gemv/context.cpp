#include "context.hpp"

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdio>
#include <ctime>
#include <string>

#include "timing.hpp"

namespace bench {
namespace {

std::string version(int number) { return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10); }

// The runtime tells only which CUDA the driver knows.
std::string driver_version() {
  std::FILE* pipe = popen("nvidia-smi --query-gpu=driver_version --format=csv,noheader -i 0 2>/dev/null", "r");
  if (pipe == nullptr) return "unknown";
  char line[64] = "";
  const bool read = std::fgets(line, sizeof line, pipe) != nullptr;
  pclose(pipe);
  std::string text = read ? line : "unknown";
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// Of the library that was loaded, which need not be the header's.
std::string cublas_version() {
  std::string text;
  for (const libraryPropertyType part : {MAJOR_VERSION, MINOR_VERSION, PATCH_LEVEL}) {
    int value = 0;
    cublasGetProperty(part, &value);
    text += (text.empty() ? "" : ".") + std::to_string(value);
  }
  return text;
}

std::string iso_date() {
  char date[32] = "";
  const std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  return date;
}

}  // namespace

nlohmann::ordered_json context_json(const Options& options, const Clocks& clocks, double read_rate) {
  cudaDeviceProp properties{};
  int driver = 0;
  int runtime = 0;
  int clock_khz = 0;
  CHECK_CUDA(cudaGetDeviceProperties(&properties, 0));
  CHECK_CUDA(cudaDriverGetVersion(&driver));
  CHECK_CUDA(cudaRuntimeGetVersion(&runtime));
  CHECK_CUDA(cudaDeviceGetAttribute(&clock_khz, cudaDevAttrClockRate, 0));
  nlohmann::ordered_json json;
  json["gpu"] = properties.name;
  json["multiprocessors"] = properties.multiProcessorCount;
  json["l2_bytes"] = properties.l2CacheSize;
  json["driver"] = driver_version();
  json["driver_cuda"] = version(driver);
  json["cuda"] = version(runtime);
  json["cublas"] = cublas_version();
  json["boost_clock_mhz"] = clock_khz / 1000;
  json["clocks"] = "not locked";
  json["sm_clock_before_mhz"] = std::lround(clocks.before_mhz);
  json["sm_clock_after_mhz"] = std::lround(clocks.after_mhz);
  json["read_tb_per_s"] = std::round(read_rate * 1000) / 1000;
  json["commit"] = options.commit;
  json["date"] = iso_date();
  json["command"] = options.command;
  return json;
}

}  // namespace bench
