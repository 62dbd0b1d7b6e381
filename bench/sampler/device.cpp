// The sampler on one GPU, V = 151,936, logits warm in the second-level cache:
//   bench_sampler_device --results=bench/results/h200 --commit=$(git rev-parse --short HEAD)
// Besides Google Benchmark's own flags: --results=FOLDER, --commit=HASH. `--sweep` prints how the cut of the work
// changes the time.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "../gemv/options.hpp"
#include "../gemv/rates.hpp"
#include "../gemv/recorder.hpp"
#include "../gemv/registration.hpp"
#include "../gemv/timing.hpp"
#include "launcher.hpp"
#include "rows.hpp"

namespace {

using bench::kVocabulary;

constexpr int kBatches[] = {1, 8, 32, 64};
constexpr int kMaxBatch = 64;
constexpr int kFewBatches[] = {1, 8};  // of the settings off the beaten track
constexpr int kMaxFewBatch = 8;
constexpr int kDrafts = 4;

// What becomes of the drafted tokens of a slot.
enum class Drafts {
  kNone,      // there are none
  kMatch,     // all are the slot's own samples
  kAccepted,  // all are accepted by chance
  kRejected,  // the first is rejected, and another token drawn
};

// How the requests of a case draw.
struct Setting {
  const char* name;
  bool reset;
  std::int32_t top_k;
  float top_p;
  bool flat = false;  // rows in which no token stands out
  bool rank = false;  // the token's rank is told
  Drafts drafts = Drafts::kNone;
  float temperature = 1.0f;  // without ReSET
  bool told = false;         // everything about a row is told, not its token alone
};

constexpr Setting kSettings[] = {
    {"temperature", false, 0, 1.0f},
    {"temperature .6", false, 0, 1.0f, false, false, Drafts::kNone, 0.6f},
    {"reset", true, 0, 1.0f},
    {"reset, top-p .95, top-k 20", true, 20, 0.95f},
    {"reset, top-p .95", true, 0, 0.95f},
};

constexpr Setting kFewSettings[] = {
    {"reset, top-k 1000", true, 1000, 1.0f},
    {"reset, results told", true, 0, 1.0f, false, false, Drafts::kNone, 1.0f, true},
    {"reset, rank", true, 0, 1.0f, false, true},
    {"reset, flat rows", true, 0, 1.0f, true},
    {"reset, flat rows, rank", true, 0, 1.0f, true, true},
    {"reset, flat rows, top-p .95", true, 0, 0.95f, true},
    {"reset, 4 drafts that match", true, 0, 1.0f, false, false, Drafts::kMatch},
    {"reset, 4 drafts accepted", true, 0, 1.0f, false, false, Drafts::kAccepted},
    {"reset, 4 drafts, the first rejected", true, 0, 1.0f, false, false, Drafts::kRejected},
    {"reset, top-p .95, top-k 20, 4 drafts that match", true, 20, 0.95f, false, false, Drafts::kMatch},
    {"reset, top-p .95, top-k 20, 4 drafts accepted", true, 20, 0.95f, false, false, Drafts::kAccepted},
    {"reset, top-p .95, top-k 20, 4 drafts, the first rejected", true, 20, 0.95f, false, false, Drafts::kRejected},
};

int rows_of(const Setting& setting) { return setting.drafts == Drafts::kNone ? 1 : 1 + kDrafts; }

struct Case {
  const char* type;
  int batch;
  Setting setting;
  bool pdl;
};

// The ids of the highest logits of rows.
std::vector<std::int32_t> best_tokens(const std::vector<float>& logits) {
  std::vector<std::int32_t> best;
  for (auto row = logits.begin(); row != logits.end(); row += kVocabulary) {
    best.push_back(static_cast<std::int32_t>(std::max_element(row, row + kVocabulary) - row));
  }
  return best;
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
    const std::vector<float> logits = bench::make_logits(kMaxBatch);
    floats_ = upload(logits);
    halves_ = upload(bench::narrowed(logits));
    flat_ = upload(bench::narrowed(bench::make_logits(kMaxFewBatch, true)));
    const std::vector<std::int32_t> best = best_tokens(logits);
    single_ = upload(make_rows(kMaxBatch, 1, [](int) { return reset::kPlaceholderToken; }));
    matched_ = upload(make_rows(kMaxFewBatch, 1 + kDrafts, [](int) { return reset::kPlaceholderToken; }));
    // What follows row i - 1. A token that the draft gave no probability is accepted, and one that it was certain of
    // and that is next to impossible is not.
    accepted_ = upload(make_rows(kMaxFewBatch, 1 + kDrafts,
                                 [&best](int row) { return best[static_cast<std::size_t>(row > 0 ? row - 1 : 0)]; }));
    rejected_ = upload(make_rows(kMaxFewBatch, 1 + kDrafts, [](int) { return 0; }));
    std::vector<float> draft(static_cast<std::size_t>(kMaxFewRows) * kVocabulary, 0.0f);
    for (int row = 0; row < kMaxFewRows; ++row) draft[static_cast<std::size_t>(row) * kVocabulary] = 1.0f;
    draft_ = upload(draft);
    bench::allocate(tokens_, kMaxBatch * sizeof(std::int32_t));
    bench::allocate(results_, kMaxBatch * sizeof(reset::SampledToken));
    bench::allocate(scratch_, 16);
    std::uint32_t* table = nullptr;
    bench::allocate(table, table_.size_bytes());
    CHECK_CUDA(cudaMemcpy(table, table_.data(), table_.size_bytes(), cudaMemcpyHostToDevice));
    reset::SamplerConfig config;
    config.vocabulary = kVocabulary;
    config.slots = kMaxBatch;
    config.rows_per_slot = 1 + kDrafts;
    for (const bool rank : {false, true}) {
      config.rank = rank;
      unsigned char* memory = nullptr;
      bench::allocate(memory, bench::DeviceSampler::memory_bytes(config, kMaxBatch));
      sampler_[rank] =
          std::make_unique<bench::DeviceSampler>(config, kMaxBatch, device_, memory, table_.detector(table));
    }
  }

  double time_us(const Case& c, const reset::SamplerPolicy& policy = {}) {
    begin(c.setting);
    if (c.setting.flat) return time_us(flat_, c, policy);
    return std::string(c.type) == "bf16" ? time_us(halves_, c, policy) : time_us(floats_, c, policy);
  }

  double read_floor_us(const Case& c) {
    const bool halves = std::string(c.type) == "bf16";
    const void* data = halves ? static_cast<const void*>(halves_) : floats_;
    const std::size_t rows = static_cast<std::size_t>(c.batch) * rows_of(c.setting);
    const std::size_t bytes = rows * kVocabulary * (halves ? 2 : 4);
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
  static constexpr int kMaxFewRows = kMaxFewBatch * (1 + kDrafts);
  static_assert(kMaxFewRows <= kMaxBatch, "rows share the memory of batches");

  // Rows of so many slots: `token(row)` is the drafted one behind the row before it.
  template <class Token>
  static std::vector<reset::SamplerRow> make_rows(int slots, int each, Token token) {
    std::vector<reset::SamplerRow> rows;
    for (int slot = 0; slot < slots; ++slot) {
      for (int i = 0; i < each; ++i) rows.push_back({slot, token(slot * each + i), reset::kNextPosition - i});
    }
    return rows;
  }

  void begin(const Setting& setting) {
    const bench::DeviceSampler& sampler = *sampler_[setting.rank];
    check(bench::initialize(sampler, stream_));
    reset::RequestParams request;
    request.reset_enabled = setting.reset;
    request.reset.tau0 = 0.55f;
    request.sampling.temperature = setting.temperature;
    request.sampling.top_k = setting.top_k;
    request.sampling.top_p = setting.top_p;
    for (int slot = 0; slot < kMaxBatch; ++slot) {
      request.seed = static_cast<std::uint64_t>(slot) + 1;
      check(bench::add(sampler, slot, request, stream_));
    }
  }

  const reset::SamplerRow* rows(Drafts drafts) const {
    if (drafts == Drafts::kNone) return single_;
    if (drafts == Drafts::kMatch) return matched_;
    return drafts == Drafts::kAccepted ? accepted_ : rejected_;
  }

  template <class T>
  double time_us(const T* logits, const Case& c, const reset::SamplerPolicy& policy) {
    const Setting& setting = c.setting;
    const bool by_chance = setting.drafts == Drafts::kAccepted || setting.drafts == Drafts::kRejected;
    reset::SamplerCall<T> call;
    call.logits = logits;
    call.rows = rows(setting.drafts);
    call.count = c.batch * rows_of(setting);
    call.tokens = tokens_;
    call.results = setting.rank || setting.told ? results_ : nullptr;
    call.draft_probabilities = by_chance ? draft_ : nullptr;
    const reset::SamplerLaunch options{c.pdl, policy};
    return bench::microseconds(stream_,
                               [&](int) { check(bench::step(*sampler_[setting.rank], call, options, stream_)); });
  }

  reset::TokenSetTable table_;
  reset::SamplerDevice device_;
  cudaStream_t stream_ = nullptr;
  float* floats_ = nullptr;
  reset::BFloat16* halves_ = nullptr;
  reset::BFloat16* flat_ = nullptr;
  reset::SamplerRow* single_ = nullptr;
  reset::SamplerRow* matched_ = nullptr;
  reset::SamplerRow* accepted_ = nullptr;
  reset::SamplerRow* rejected_ = nullptr;
  float* draft_ = nullptr;
  std::int32_t* tokens_ = nullptr;
  reset::SampledToken* results_ = nullptr;
  unsigned long long* scratch_ = nullptr;
  std::unique_ptr<bench::DeviceSampler> sampler_[2];  // that tells no ranks, and that does
};

using Recorder = bench::Recorder<Fixture>;

void measure(Recorder& run, const Case& c, benchmark::State& state) {
  double time = 0;
  for (auto _ : state) {
    time = run.fixture().time_us(c);
    state.SetIterationTime(time * 1e-6);
  }
  const double floor = run.fixture().read_floor_us(c);
  state.counters["read_floor_us"] = floor;
  nlohmann::ordered_json record;
  record["dtype"] = c.type;
  record["batch"] = c.batch;
  record["vocab"] = kVocabulary;
  record["setting"] = c.setting.name;
  record["pdl"] = c.pdl;
  record["time_us"] = bench::rounded(time);
  record["read_floor_us"] = bench::rounded(floor);
  record["torch_chain_us"] = nullptr;  // torch_chain.py fills it in
  run.add(record);
}

// A table of times by the parts of a row and the warps of a chunk.
void sweep() {
  Fixture fixture;
  for (const char* type : {"bf16", "fp32"}) {
    for (const Setting& setting : {kSettings[2], kSettings[3]}) {
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

int run_all(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--sweep") {
    sweep();
    return 0;
  }
  Recorder run(bench::take_options(argc, argv), "sampler");
  const auto add = [&run](const Case& c) {
    bench::register_measured(name_of(c), [&run, c](benchmark::State& state) { measure(run, c, state); });
  };
  return bench::run_registered(argc, argv, run, [&add] {
    for (const char* type : {"bf16", "fp32"}) {
      for (const Setting& setting : kSettings) {
        for (const int batch : kBatches) {
          for (const bool pdl : {false, true}) add({type, batch, setting, pdl});
        }
      }
    }
    for (const Setting& setting : kFewSettings) {
      for (const int batch : kFewBatches) add({"bf16", batch, setting, true});
    }
  });
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_all(argc, argv);
  } catch (const reset::Error& error) {
    std::fprintf(stderr, "bench_sampler_device: %s\n", error.what());
    return 1;
  }
}
