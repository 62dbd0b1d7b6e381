// Whole decode steps, end to end, of the NVFP4 engine and of the same engine with BF16 weights over cuBLAS:
//   bench_engine --results=bench/results/h200 --commit=$(git rev-parse --short HEAD)
// Besides: --models=qwen3-8b,qwen3-32b,qwen3-14b --batches=1,4,8. Weights are random; the shapes are the models'.
//   ncu --profile-from-start off ... bench_engine --profile=qwen3-8b,nvfp4-w4a16,1,1024
// runs one step for a profiler: model, engine, batch, length of the context. Exits with 1 if a full run takes over 1 %
// more or less than the integral of the steps that were timed.
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include <reset/status.hpp>

#include "../gemv/context.hpp"
#include "../gemv/launcher.hpp"
#include "../gemv/options.hpp"
#include "../gemv/rates.hpp"
#include "../gemv/records.hpp"
#include "flags.hpp"
#include "measure.hpp"
#include "spread.hpp"

namespace {

using bench::EngineCase;
using bench::EngineKind;
using bench::EngineTimes;
using bench::StepTime;
using nlohmann::ordered_json;

constexpr std::int64_t kPrompt = 512;
const std::vector<std::int64_t> kGenerated = {1024, 4096, 16384};
// Eight lengths between the prompt and the end of the longest text.
const std::vector<std::int64_t> kLengths = {540, 1024, 1536, 2560, 4608, 8192, 12288, 16896};

struct Variant {
  EngineKind kind;
  bool nvfp4_head;
};
constexpr Variant kVariants[] = {
    {EngineKind::kBf16, false}, {EngineKind::kW4A16, false}, {EngineKind::kW4A4, false}, {EngineKind::kW4A16, true}};

// Time of a step at a length, between the lengths that were measured.
double at(const std::vector<StepTime>& steps, double length) {
  std::size_t i = 1;
  while (i + 1 < steps.size() && length > static_cast<double>(steps[i].length)) ++i;
  const StepTime& a = steps[i - 1];
  const StepTime& b = steps[i];
  const double share = (length - static_cast<double>(a.length)) / static_cast<double>(b.length - a.length);
  return a.milliseconds + share * (b.milliseconds - a.milliseconds);
}

// Of all steps that generate `tokens` behind the prompt.
double integrate(const std::vector<StepTime>& steps, std::int64_t tokens) {
  double sum = 0;
  for (std::int64_t i = 0; i < tokens; ++i) sum += at(steps, static_cast<double>(kPrompt + i));
  return sum;
}

double rounded(double value) { return std::round(value * 1e4) / 1e4; }

ordered_json record_of(const EngineCase& call, const EngineTimes& times, bool policy, std::int64_t generated,
                       double read_rate) {
  const std::vector<StepTime>& steps = policy ? times.reset : times.plain;
  const double decode_ms = integrate(steps, generated);
  const auto batch = static_cast<double>(call.batch);
  const double mean_length = static_cast<double>(kPrompt) + static_cast<double>(generated) / 2;
  const double bytes =
      static_cast<double>(times.weight_bytes) + batch * mean_length * static_cast<double>(times.cache_bytes);
  const double ms = decode_ms / static_cast<double>(generated);
  ordered_json json;
  json["model"] = call.model;
  json["batch"] = call.batch;
  json["generated"] = generated;
  json["engine"] = bench::name_of(call.kind);
  json["head"] = call.nvfp4_head ? "nvfp4" : "bf16";
  json["reset"] = policy;
  json["tokens_per_s"] = rounded(1000 * batch * static_cast<double>(generated) / (decode_ms + times.prompts_ms));
  json["ms_per_token"] = rounded(ms);
  json["fraction_of_stream"] = rounded(bytes / ms * 1e-9 / read_rate);
  json["prompts_ms"] = rounded(times.prompts_ms);
  json["bytes"] = std::llround(bytes);
  return json;
}

// What ReSET adds to a step, in per cent.
ordered_json cost_of(const EngineCase& call, const EngineTimes& times) {
  const auto percent = [&](double share) { return rounded(100 * bench::quantile(times.costs, share)); };
  return {{"model", call.model},
          {"batch", call.batch},
          {"engine", bench::name_of(call.kind)},
          {"pairs", times.costs.size()},
          {"lower_quartile", percent(0.25)},
          {"median", percent(0.5)},
          {"upper_quartile", percent(0.75)}};
}

class Run {
 public:
  explicit Run(bench::Options options) : options_(std::move(options)) {
    device_ = bench::prepare_device(0);
    CHECK_CUDA(cudaStreamCreate(&stream_));
    constexpr std::size_t kBytes = std::size_t{1} << 30;
    bench::allocate(scratch_, kBytes);
    bench::fill(scratch_, kBytes, bench::kRandomE2m1, 1, stream_);
    rate_ = bench::read_rate(scratch_, reinterpret_cast<unsigned*>(scratch_), device_.sm_count, stream_);
    clocks_.before_mhz = clock();
  }
  ~Run() {
    cudaFree(scratch_);
    cudaStreamDestroy(stream_);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  void measure(const std::string& model, std::int32_t batch, const Variant& variant) {
    const EngineCase call = {model, variant.kind, variant.nvfp4_head, batch, kLengths.back() + 64, 0};
    // One long text besides, against the integral.
    const bool check = model == "qwen3-8b" && batch == 1 && variant.kind == EngineKind::kW4A16 && !variant.nvfp4_head;
    constexpr std::int64_t kFullRun = 4096;
    const EngineTimes times = bench::measure_engine(call, kPrompt, kLengths, check ? kFullRun : 0);
    for (const std::int64_t generated : kGenerated) {
      for (const bool policy : {true, false}) {
        const bool measured = !(policy ? times.reset : times.plain).empty();
        if (measured) add(record_of(call, times, policy, generated, rate_));
      }
    }
    if (!times.costs.empty()) policy_costs_.push_back(cost_of(call, times));
    if (check) check_full_run(call, kFullRun, times);
  }

  // Whether the steps that were timed stand for all, as far as that was checked; else it is told.
  bool integral_holds() const {
    if (full_run_.is_null() || full_run_["within_1_percent"].get<bool>()) return true;
    std::fprintf(stderr, "bench_engine: a full run took %s ms and its integral is %s ms, expected at most 1 %% apart\n",
                 full_run_["measured_ms"].dump().c_str(), full_run_["integrated_ms"].dump().c_str());
    return false;
  }

  // What does not fit the device is left out, and said.
  void skip(const std::string& model, std::int32_t batch, const Variant& variant, const char* why) {
    std::printf("%s, batch %d, %s: left out: %s\n", model.c_str(), batch, bench::name_of(variant.kind), why);
    std::fflush(stdout);
  }

  // After every case, so that a run that is cut off leaves what it has measured.
  void write() {
    clocks_.after_mhz = clock();
    ordered_json context = bench::context_json(options_, clocks_, rate_);
    context["full_run"] = full_run_;
    context["policy_cost"] = policy_costs_;
    if (options_.results.empty()) return;
    bench::write_records(options_.results + "/engine.json", records_);
    bench::write_json(options_.results + "/engine_context.json", context);
  }

 private:
  double clock() const { return bench::sm_clock_mhz(scratch_, device_.sm_count, stream_); }

  void check_full_run(const EngineCase& call, std::int64_t generated, const EngineTimes& times) {
    const double integrated = integrate(times.reset, generated);
    full_run_ = {{"model", call.model},
                 {"engine", bench::name_of(call.kind)},
                 {"generated", generated},
                 {"measured_ms", rounded(times.full_run_ms)},
                 {"integrated_ms", rounded(integrated)},
                 {"within_1_percent", std::fabs(times.full_run_ms / integrated - 1) <= 0.01}};
  }

  void add(ordered_json record) {
    std::printf("%s\n", record.dump().c_str());
    std::fflush(stdout);
    records_.push_back(std::move(record));
  }

  bench::Options options_;
  reset::DeviceInfo device_;
  cudaStream_t stream_ = nullptr;
  unsigned long long* scratch_ = nullptr;  // the clock's, behind which the read rate was measured
  double rate_ = 0;
  bench::Clocks clocks_;
  std::vector<ordered_json> records_;
  ordered_json full_run_;
  ordered_json policy_costs_ = ordered_json::array();
};

void profile(const std::string& text) {
  const std::vector<std::string> parts = bench::split(text);
  if (parts.size() != 4) throw reset::Error("--profile=" + text + ": expected MODEL,ENGINE,BATCH,LENGTH");
  const std::int64_t length = std::stoll(parts[3]);
  bench::profile_engine({parts[0], bench::engine_kind(parts[1]), false, std::stoi(parts[2]), length + 128, 0}, length);
}

// Whether what was measured holds together.
bool measure_all(int argc, char** argv) {
  const std::vector<std::string> models =
      bench::split(bench::take_flag(argc, argv, "models", "qwen3-8b,qwen3-32b,qwen3-14b"));
  const std::vector<std::string> batches = bench::split(bench::take_flag(argc, argv, "batches", "1,4,8"));
  Run run(bench::take_options(argc, argv));
  for (const std::string& model : models) {
    for (const std::string& batch : batches) {
      for (const Variant& variant : kVariants) {
        try {
          run.measure(model, std::stoi(batch), variant);
          run.write();
        } catch (const engine::cuda::OutOfDeviceMemory& error) {
          run.skip(model, std::stoi(batch), variant, error.what());
        }
      }
    }
  }
  return run.integral_holds();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string step = bench::take_flag(argc, argv, "profile", "");
    if (step.empty()) return measure_all(argc, argv) ? 0 : 1;
    profile(step);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_engine: %s\n", error.what());
    return 2;
  }
  return 0;
}
