// The sampler on one GPU, V = 151,936, logits warm in the second-level cache:
//   bench_sampler_device --results=bench/results/h200 --commit=$(git rev-parse --short HEAD)
// Besides Google Benchmark's own flags: --results=FOLDER, --commit=HASH. `--sweep` prints how the cut of the work
// changes the time.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "../gemv/context.hpp"
#include "../gemv/options.hpp"
#include "../gemv/rates.hpp"
#include "../gemv/records.hpp"
#include "../gemv/registration.hpp"
#include "../gemv/timing.hpp"
#include "launcher.hpp"

namespace {

constexpr std::int32_t kVocabulary = 151936;
constexpr int kBatches[] = {1, 8, 32, 64};
constexpr int kMaxBatch = 64;

// How the requests of a case draw.
struct Setting {
  const char* name;
  bool reset;
  std::int32_t top_k;
  float top_p;
};

constexpr Setting kSettings[] = {
    {"temperature", false, 0, 1.0f},
    {"reset", true, 0, 1.0f},
    {"reset, top-p .95, top-k 20", true, 20, 0.95f},
    {"reset, top-p .95", true, 0, 0.95f},
};

struct Case {
  const char* type;
  int batch;
  Setting setting;
  bool pdl;
};

// Normal logits with a few peaks: about the entropy and the depth that reasoning models show.
std::vector<float> make_logits(int rows) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0f, 2.5f);
  std::vector<float> logits(static_cast<std::size_t>(rows) * kVocabulary);
  for (float& x : logits) x = normal(random);
  for (int row = 0; row < rows; ++row) {
    float* begin = logits.data() + static_cast<std::size_t>(row) * kVocabulary;
    for (int i = 0; i < 20; ++i) begin[random() % kVocabulary] = 16.0f + normal(random);
  }
  return logits;
}

template <class T>
T* upload(const std::vector<T>& values) {
  T* data = nullptr;
  bench::allocate(data, values.size() * sizeof(T));
  CHECK_CUDA(cudaMemcpy(data, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  return data;
}

void check(const reset::Status& status) { reset::throw_if_failed(status); }

// Device memory for all cases; freed with the process.
class Fixture {
 public:
  Fixture() : table_(kVocabulary, {271, 382, 1447}, {198}) {
    check(bench::prepare(0, device_));
    CHECK_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    const std::vector<float> logits = make_logits(kMaxBatch);
    std::vector<reset::BFloat16> narrow;
    for (const float x : logits) narrow.push_back({static_cast<std::uint16_t>(reset::detail::bits_of(x) >> 16)});
    floats_ = upload(logits);
    halves_ = upload(narrow);
    std::vector<reset::SamplerRow> rows;
    for (int i = 0; i < kMaxBatch; ++i) rows.push_back({i, reset::kPlaceholderToken, reset::kNextPosition});
    rows_ = upload(rows);
    bench::allocate(tokens_, kMaxBatch * sizeof(std::int32_t));
    bench::allocate(scratch_, 16);
    config_.vocabulary = kVocabulary;
    config_.slots = kMaxBatch;
    bench::allocate(memory_, bench::DeviceSampler::memory_bytes(config_, kMaxBatch));
    std::uint32_t* table = nullptr;
    bench::allocate(table, table_.size_bytes());
    CHECK_CUDA(cudaMemcpy(table, table_.data(), table_.size_bytes(), cudaMemcpyHostToDevice));
    sampler_ = std::make_unique<bench::DeviceSampler>(config_, kMaxBatch, device_, memory_, table_.detector(table));
  }

  double time_us(const Case& c, const reset::SamplerPolicy& policy = {}) {
    begin(c.setting);
    return std::string(c.type) == "bf16" ? time_us(halves_, c, policy) : time_us(floats_, c, policy);
  }

  double read_floor_us(const Case& c) {
    const bool halves = std::string(c.type) == "bf16";
    const void* data = halves ? static_cast<const void*>(halves_) : floats_;
    const std::size_t bytes = static_cast<std::size_t>(c.batch) * kVocabulary * (halves ? 2 : 4);
    return bench::microseconds(stream_, [&](int) {
      bench::read_only(data, bytes, reinterpret_cast<unsigned*>(scratch_), device_.sm_count, stream_);
    });
  }

  double sm_clock_mhz() { return bench::sm_clock_mhz(scratch_, device_.sm_count, stream_); }

  double read_rate() {
    void* memory = nullptr;
    bench::allocate(memory, std::size_t{1} << 30);
    const double rate = bench::read_rate(memory, reinterpret_cast<unsigned*>(scratch_), device_.sm_count, stream_);
    CHECK_CUDA(cudaFree(memory));
    return rate;
  }

 private:
  void begin(const Setting& setting) {
    check(bench::initialize(*sampler_, stream_));
    reset::RequestParams request;
    request.reset_enabled = setting.reset;
    request.reset.tau0 = 0.55f;
    request.sampling.top_k = setting.top_k;
    request.sampling.top_p = setting.top_p;
    for (int slot = 0; slot < kMaxBatch; ++slot) {
      request.seed = static_cast<std::uint64_t>(slot) + 1;
      check(bench::add(*sampler_, slot, request, stream_));
    }
  }

  template <class T>
  double time_us(const T* logits, const Case& c, const reset::SamplerPolicy& policy) {
    reset::SamplerCall<T> call;
    call.logits = logits;
    call.rows = rows_;
    call.count = c.batch;
    call.tokens = tokens_;
    const reset::SamplerLaunch options{c.pdl, policy};
    return bench::microseconds(stream_, [&](int) { check(bench::step(*sampler_, call, options, stream_)); });
  }

  reset::TokenSetTable table_;
  reset::SamplerDevice device_;
  reset::SamplerConfig config_;
  cudaStream_t stream_ = nullptr;
  float* floats_ = nullptr;
  reset::BFloat16* halves_ = nullptr;
  reset::SamplerRow* rows_ = nullptr;
  std::int32_t* tokens_ = nullptr;
  unsigned long long* scratch_ = nullptr;
  unsigned char* memory_ = nullptr;
  std::unique_ptr<bench::DeviceSampler> sampler_;
};

double rounded(double value) { return std::round(value * 1000) / 1000; }

// Touches the device when the first benchmark runs, so that their list can be had without one.
class Run {
 public:
  explicit Run(const bench::Options& options) : options_(options) {}

  void measure(const Case& c, benchmark::State& state) {
    if (!fixture_) begin();
    double time = 0;
    for (auto _ : state) {
      time = fixture_->time_us(c);
      state.SetIterationTime(time * 1e-6);
    }
    const double floor = fixture_->read_floor_us(c);
    state.counters["read_floor_us"] = floor;
    nlohmann::ordered_json record;
    record["dtype"] = c.type;
    record["batch"] = c.batch;
    record["vocab"] = kVocabulary;
    record["setting"] = c.setting.name;
    record["pdl"] = c.pdl;
    record["time_us"] = rounded(time);
    record["read_floor_us"] = rounded(floor);
    record["torch_chain_us"] = nullptr;  // torch_chain.py fills it in
    records_.push_back(record);
    if (!options_.results.empty()) bench::write_records(options_.results + "/sampler.json", records_);
  }

  void end() {
    if (records_.empty()) return;
    clocks_.after_mhz = fixture_->sm_clock_mhz();
    const auto context = bench::context_json(options_, clocks_, read_rate_);
    if (!options_.results.empty()) bench::write_json(options_.results + "/sampler_context.json", context);
    std::printf("%s\n", context.dump().c_str());
  }

 private:
  void begin() {
    fixture_ = std::make_unique<Fixture>();
    read_rate_ = fixture_->read_rate();
    clocks_.before_mhz = fixture_->sm_clock_mhz();
  }

  bench::Options options_;
  std::unique_ptr<Fixture> fixture_;
  std::vector<nlohmann::ordered_json> records_;
  bench::Clocks clocks_;
  double read_rate_ = 0;
};

// A table of times by the parts of a row and the warps of a chunk.
void sweep() {
  Fixture fixture;
  for (const char* type : {"bf16", "fp32"}) {
    for (const Setting& setting : {kSettings[1], kSettings[2]}) {
      for (const int batch : kBatches) {
        std::printf("%s b%d %s:", type, batch, setting.name);
        for (const int warps : {1, 4}) {
          std::printf("\n  %d warps:", warps);
          for (const int parts : {2, 3, 4, 6, 8, 12, 16, 25, 33, 38, 75}) {
            const reset::SamplerPolicy policy{parts, warps};
            const double time = fixture.time_us({type, batch, setting, true}, policy);
            std::printf(" %d:%.2f", parts, time);
          }
        }
        std::printf("\n");
      }
    }
  }
}

std::string name_of(const Case& c) {
  return std::string(c.type) + "/" + std::to_string(c.batch) + "/" + c.setting.name + (c.pdl ? "/pdl" : "");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--sweep") {
    sweep();
    return 0;
  }
  Run run(bench::take_options(argc, argv));
  return bench::run_registered(argc, argv, run, [&run] {
    for (const char* type : {"bf16", "fp32"}) {
      for (const Setting& setting : kSettings) {
        for (const int batch : kBatches) {
          for (const bool pdl : {false, true}) {
            const Case c{type, batch, setting, pdl};
            bench::register_measured(name_of(c), [&run, c](benchmark::State& state) { run.measure(c, state); });
          }
        }
      }
    }
  });
}
