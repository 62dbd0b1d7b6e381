// The mat-vec against the floor on one GPU: prints a table, and with two arguments writes the records and their context
// as JSON: bench_gemv bench/results/<gpu>/gemv.json bench/results/<gpu>/context.json "<commit>"
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>

#include <reset/gemv/launch.cuh>

#include "layers.hpp"
#include "timing.cuh"

namespace {

using reset::ActivationType;

constexpr std::size_t kPoolBytes = std::size_t{1300} << 20;
constexpr std::int64_t kMaxK = 32768;
constexpr std::int64_t kMaxN = 32768;

// Everything a call reads and writes; the weights rotate over the pool.
struct Memory {
  std::uint8_t* pool = nullptr;
  std::uint8_t* codes = nullptr;   // NVFP4 activations
  std::uint8_t* scales = nullptr;  // and their block scales
  std::uint8_t* dense = nullptr;   // 16-bit activations: finite, for the exponents are small
  std::uint8_t* output = nullptr;
  std::size_t packed_bytes = 0;
  std::size_t copy_bytes = 0;

  Memory() {
    CHECK_CUDA(cudaMalloc(&pool, kPoolBytes));
    CHECK_CUDA(cudaMalloc(&codes, 16 * kMaxK / 2));
    CHECK_CUDA(cudaMalloc(&scales, 16 * kMaxK / 16));
    CHECK_CUDA(cudaMalloc(&dense, 16 * kMaxK * 2));
    CHECK_CUDA(cudaMalloc(&output, 16 * kMaxN * 2));
    fill<<<256, 256>>>(codes, 16 * kMaxK / 2, 16 * kMaxK / 2, 16 * kMaxK / 2);
    fill<<<256, 256>>>(scales, 0, 1, 16 * kMaxK / 16);
    fill<<<256, 256>>>(dense, 0, 1, 16 * kMaxK * 2);
  }

  void take(const Layer& layer) {
    packed_bytes = static_cast<std::size_t>(layer.n * layer.k / 2);
    copy_bytes = (packed_bytes + packed_bytes / 8 + 255) / 256 * 256;
    fill<<<2048, 256>>>(pool, packed_bytes, copy_bytes, kPoolBytes);
    CHECK_CUDA(cudaDeviceSynchronize());
  }
  const std::uint8_t* copy(int i) const { return pool + i % (kPoolBytes / copy_bytes) * copy_bytes; }
};

reset::GemvProblem problem_of(const Layer& layer, std::int64_t m, ActivationType activation, const Memory& memory,
                              int copy) {
  const std::uint8_t* weights = memory.copy(copy);
  const auto global = reset::FusedGlobalScales::uniform({0x1p-9f});
  reset::GemvProblem problem;
  problem.weights = {weights, layer.n, layer.k, layer.k / 2, {}, global};
  problem.weights.block_scale.data = weights + memory.packed_bytes;
  problem.weights.block_scale.stride = layer.k / 16;
  problem.tokens = m;
  problem.activations.type = activation;
  problem.activations.dense = memory.dense;
  problem.activations.row_stride = layer.k;
  problem.activations.nvfp4 = {memory.codes, m, layer.k, layer.k / 2, {}, global};
  problem.activations.nvfp4.block_scale.data = memory.scales;
  problem.activations.nvfp4.block_scale.stride = layer.k / 16;
  problem.output = {memory.output, reset::OutputType::kBf16, layer.n};
  return problem;
}

class Records {
 public:
  explicit Records(const char* path) : file_(path == nullptr ? nullptr : std::fopen(path, "w")) {
    if (file_ != nullptr) std::fputs("[", file_);
  }
  ~Records() {
    if (file_ == nullptr) return;
    std::fputs("\n]\n", file_);
    std::fclose(file_);
  }
  Records(const Records&) = delete;
  Records& operator=(const Records&) = delete;

  void add(const Layer& layer, std::int64_t m, ActivationType activation, bool pdl, const char* kernel, float time,
           float floor) {
    const char* type = activation == ActivationType::kNvfp4 ? "nvfp4" : "bf16";
    std::printf("%-10s %-10s M %2d %-5s %-7s %-3s %8.2f us  floor %6.2f  x %.2f\n", layer.model, layer.name,
                static_cast<int>(m), type, kernel, pdl ? "pdl" : "", static_cast<double>(time),
                static_cast<double>(floor), static_cast<double>(time / floor));
    if (file_ == nullptr) return;
    std::fprintf(file_,
                 "%s\n{\"model\": \"%s\", \"layer\": \"%s\", \"m\": %d, \"n\": %d, \"k\": %d, \"activation\": \"%s\", "
                 "\"layout\": \"linear\", \"pdl\": %s, \"kernel\": \"%s\", \"time_us\": %.3f, \"floor_us\": %.3f}",
                 first_ ? "" : ",", layer.model, layer.name, static_cast<int>(m), static_cast<int>(layer.n),
                 static_cast<int>(layer.k), type, pdl ? "true" : "false", kernel, static_cast<double>(time),
                 static_cast<double>(floor));
    first_ = false;
  }

 private:
  std::FILE* file_;
  bool first_ = true;
};

void write_context(const char* path, const char* commit) {
  cudaDeviceProp properties{};
  int driver = 0;
  int runtime = 0;
  int clock = 0;
  CHECK_CUDA(cudaGetDeviceProperties(&properties, 0));
  CHECK_CUDA(cudaDriverGetVersion(&driver));
  CHECK_CUDA(cudaRuntimeGetVersion(&runtime));
  CHECK_CUDA(cudaDeviceGetAttribute(&clock, cudaDevAttrClockRate, 0));
  char date[32] = "";
  const std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof date, "%Y-%m-%d", std::gmtime(&now));
  std::FILE* file = std::fopen(path, "w");
  if (file == nullptr) return;
  std::fprintf(file,
               "{\"gpu\": \"%s\", \"driver\": %d, \"cuda\": %d, \"boost_clock_khz\": %d, \"commit\": \"%s\", "
               "\"date\": \"%s\", \"command\": \"bench_gemv gemv.json context.json <commit>\"}\n",
               properties.name, driver, runtime, clock, commit, date);
  std::fclose(file);
}

void measure(const Layer& layer, Memory& memory, const reset::DeviceInfo& device, cudaStream_t stream,
             Records& records) {
  memory.take(layer);
  const float floor = microseconds(stream, [&](int i) {
    read_only<<<static_cast<unsigned>(device.sm_count * 8), 256, 0, stream>>>(
        reinterpret_cast<const uint4*>(memory.copy(i)), (memory.packed_bytes + memory.packed_bytes / 8) / 16,
        reinterpret_cast<unsigned*>(memory.output));
  });
  for (const ActivationType activation : {ActivationType::kNvfp4, ActivationType::kBf16}) {
    for (const std::int64_t m : {1, 2, 4, 8, 16}) {
      for (const bool pdl : {true, false}) {
        if (m > 1 && !pdl) continue;
        const auto problem = [&](int i) { return problem_of(layer, m, activation, memory, i); };
        const float time = microseconds(stream, [&](int i) {
          const reset::Status status = reset::gemv(problem(i), device, {pdl}, stream);
          if (status.ok()) return;
          std::fprintf(stderr, "%s\n", status.message().c_str());
          std::exit(1);
        });
        const bool ring = reset::select_gemv_policy(device.arch, problem(0)).kernel == reset::GemvKernel::kRing;
        records.add(layer, m, activation, pdl, ring ? "ring" : "general", time, floor);
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  reset::DeviceInfo device;
  const reset::Status status = reset::gemv_prepare(0, device);
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.message().c_str());
    return 1;
  }
  cudaStream_t stream = nullptr;
  CHECK_CUDA(cudaStreamCreate(&stream));
  Memory memory;
  Records records(argc > 2 ? argv[1] : nullptr);
  if (argc > 2) write_context(argv[2], argc > 3 ? argv[3] : "unknown");
  for (const Layer& layer : kLayers) measure(layer, memory, device, stream, records);
  return 0;
}
