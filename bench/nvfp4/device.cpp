// The dequantiser, with cold weights, and the quantisers of activations, warm, on one GPU against the floor:
//   bench_nvfp4_device --results=bench/results/h100 --commit=$(git rev-parse --short HEAD)
// Besides Google Benchmark's own flags: --results=FOLDER, --commit=HASH.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "../gemv/cold_pool.hpp"
#include "../gemv/layers.hpp"
#include "../gemv/options.hpp"
#include "../gemv/rates.hpp"
#include "../gemv/recorder.hpp"
#include "../gemv/registration.hpp"
#include "../gemv/timing.hpp"
#include "launcher.hpp"

namespace {

using bench::Layer;
using bench::Quantizer;
using bench::Traffic;

constexpr std::int64_t kTokens[] = {1, 8, 16};
constexpr std::int64_t kColumns[] = {4096, 5120, 12288, 25600};
constexpr std::int64_t kMostValues = 16 * 25600;
constexpr std::size_t kMostBytesRead = kMostValues * 6;  // by the floor, from one place
constexpr Quantizer kQuantizers[] = {Quantizer::kPlain, Quantizer::kRmsNorm, Quantizer::kSiluMul};
const auto kGlobalScale = reset::FusedGlobalScales::uniform({0x1p-9f});

const char* name_of(Quantizer quantizer) {
  switch (quantizer) {
    case Quantizer::kPlain:
      return "quantize_activations";
    case Quantizer::kRmsNorm:
      return "rms_norm_quantize";
    case Quantizer::kSiluMul:
      return "silu_mul_quantize";
  }
  return "?";
}

// The models whose layers are dequantised.
bool is_chosen(const Layer& layer) {
  const std::string model = layer.model;
  return model == "Qwen3-8B" || model == "Qwen3-32B";
}

struct QuantizerCall {
  Quantizer quantizer;
  std::int64_t m;
  std::int64_t k;
};

Traffic traffic_of(const Layer& layer) {
  return {static_cast<std::size_t>(bench::weight_bytes(layer)), static_cast<std::size_t>(layer.n * layer.k * 2)};
}

Traffic traffic_of(const QuantizerCall& call) {
  const auto values = static_cast<std::size_t>(call.m * call.k);
  const Traffic plain{values * 2, values / 2 + values / 16};
  if (call.quantizer == Quantizer::kPlain) return plain;
  if (call.quantizer == Quantizer::kSiluMul) return {plain.read * 2, plain.written};
  return {plain.read * 2 + static_cast<std::size_t>(call.k) * 2, plain.written + values * 2};
}

struct Times {
  double time_us;
  double floor_us;
};

// Device memory for all calls; freed with the process.
class Fixture {
 public:
  Fixture() {
    CHECK_CUDA(cudaDeviceGetAttribute(&sm_count_, cudaDevAttrMultiProcessorCount, 0));
    CHECK_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    pool_ = std::make_unique<bench::ColdPool>(stream_);
    std::size_t most = 0;
    for (const Layer& layer : bench::kLayers) {
      if (is_chosen(layer)) most = std::max(most, traffic_of(layer).written);
    }
    bench::allocate(values_, most);
    bench::allocate(x_, kMostBytesRead);
    bench::allocate(weight_, kMostValues * 2);
    bench::allocate(residual_, kMostValues * 2);
    bench::allocate(packed_, kMostValues / 2);
    bench::allocate(scales_, kMostValues / 16);
    bench::allocate(scratch_, 16);
    bench::fill(x_, kMostBytesRead, bench::kRandomBf16, 1, stream_);
    bench::fill(weight_, kMostValues * 2, bench::kRandomBf16, 2, stream_);
    bench::fill(residual_, kMostValues * 2, bench::kRandomBf16, 3, stream_);
  }

  Times measure(const Layer& layer, bool pdl) {
    const std::int64_t packed = bench::packed_bytes(layer);
    pool_->take(static_cast<std::size_t>(packed), bench::kRandomE2m1, static_cast<std::size_t>(packed / 8));
    const auto weights = [&](int copy) {
      const std::uint8_t* data = pool_->copy(copy);
      const reset::BlockScaleView scale{data + packed, reset::ScaleLayout::kLinear, layer.k / 16, 0, 0};
      return reset::Nvfp4MatrixView{data, layer.n, layer.k, layer.k / 2, scale, kGlobalScale};
    };
    return {bench::microseconds(stream_, [&](int i) { bench::launch_dequantize(weights(i), values_, pdl, stream_); }),
            bench::microseconds(stream_, [&](int i) {
              bench::launch_floor(pool_->copy(i), values_, traffic_of(layer), sm_count_, pdl, stream_);
            })};
  }

  Times measure(const QuantizerCall& call, bool pdl) {
    const reset::MutableBlockScaleView scale{scales_, reset::ScaleLayout::kLinear, call.k / 16, 0, 0};
    const reset::Nvfp4MutableMatrixView out{packed_, call.m, call.k, call.k / 2, scale, kGlobalScale};
    const bench::Activations from{x_, weight_, residual_};
    return {
        bench::microseconds(stream_, [&](int) { bench::launch_quantizer(call.quantizer, from, out, pdl, stream_); }),
        bench::microseconds(stream_,
                            [&](int) { bench::launch_floor(x_, values_, traffic_of(call), sm_count_, pdl, stream_); })};
  }

  double sm_clock_mhz() { return bench::sm_clock_mhz(scratch_, sm_count_, stream_); }

  double read_rate() {
    pool_->take(bench::ColdPool::kBytes, bench::kRandomE2m1);
    return bench::read_rate(pool_->data(), reinterpret_cast<unsigned*>(scratch_), sm_count_, stream_);
  }

 private:
  int sm_count_ = 0;
  cudaStream_t stream_ = nullptr;
  std::unique_ptr<bench::ColdPool> pool_;
  void* values_ = nullptr;
  void* x_ = nullptr;
  void* weight_ = nullptr;
  void* residual_ = nullptr;
  std::uint8_t* packed_ = nullptr;
  std::uint8_t* scales_ = nullptr;
  unsigned long long* scratch_ = nullptr;
};

nlohmann::ordered_json description(const Layer& layer) {
  return {{"operation", "dequantize_matrix"}, {"m", nullptr}, {"n", layer.n}, {"k", layer.k}};
}

nlohmann::ordered_json description(const QuantizerCall& call) {
  return {{"operation", name_of(call.quantizer)}, {"m", call.m}, {"n", nullptr}, {"k", call.k}};
}

using Recorder = bench::Recorder<Fixture>;

template <class Call>
void measure(Recorder& run, const Call& call, bool pdl, benchmark::State& state) {
  Times times{};
  for (auto _ : state) {
    times = run.fixture().measure(call, pdl);
    state.SetIterationTime(times.time_us * 1e-6);
  }
  const Traffic traffic = traffic_of(call);
  state.counters["GB/s"] = static_cast<double>(traffic.read + traffic.written) / times.time_us * 1e-3;
  state.counters["floor_us"] = times.floor_us;
  state.counters["x_floor"] = times.time_us / times.floor_us;
  nlohmann::ordered_json record = description(call);
  record["pdl"] = pdl;
  record["time_us"] = bench::rounded(times.time_us);
  record["floor_us"] = bench::rounded(times.floor_us);
  run.add(record);
}

// What --benchmark_filter sees: dequantize_matrix/Qwen3-8B/qkv/plain, rms_norm_quantize/m:8/k:4096/pdl
std::string name_of(const Layer& layer) { return std::string("dequantize_matrix/") + layer.model + "/" + layer.name; }

std::string name_of(const QuantizerCall& call) {
  return std::string(name_of(call.quantizer)) + "/m:" + std::to_string(call.m) + "/k:" + std::to_string(call.k);
}

}  // namespace

int main(int argc, char** argv) {
  Recorder run(bench::take_options(argc, argv), "nvfp4_device");
  const auto add = [&run](const auto& call, bool pdl) {
    bench::register_measured(name_of(call) + (pdl ? "/pdl" : "/plain"),
                             [&run, call, pdl](benchmark::State& state) { measure(run, call, pdl, state); });
  };
  return bench::run_registered(argc, argv, run, [&add] {
    for (const Layer& layer : bench::kLayers) {
      // Of prompts, whose matrix products are no dependents and let none start early.
      if (is_chosen(layer)) add(layer, false);
    }
    for (const Quantizer quantizer : kQuantizers) {
      for (const std::int64_t m : kTokens) {
        for (const std::int64_t k : kColumns) {
          for (const bool pdl : {false, true}) add(QuantizerCall{quantizer, m, k}, pdl);
        }
      }
    }
  });
}
