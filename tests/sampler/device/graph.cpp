// Captured once, replayed: positions and histories advance on the device.
#include <algorithm>
#include <memory>
#include <random>

#include "sampler/device/requests.hpp"
#include "sampler/device/tests.hpp"

namespace device_test {
namespace {

// What `enqueue(stream)` puts into a stream, captured once.
class Captured {
 public:
  template <class Enqueue>
  explicit Captured(Enqueue enqueue) {
    cudaGraph_t graph = nullptr;
    CHECK_CUDA(cudaStreamCreate(&stream_));
    CHECK_CUDA(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    enqueue(stream_);
    CHECK_CUDA(cudaStreamEndCapture(stream_, &graph));
    CHECK_CUDA(cudaGraphInstantiate(&executable_, graph, 0));
    CHECK_CUDA(cudaGraphDestroy(graph));
  }
  ~Captured() {
    cudaGraphExecDestroy(executable_);
    cudaStreamDestroy(stream_);
  }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;

  void replay() {
    CHECK_CUDA(cudaGraphLaunch(executable_, stream_));
    CHECK_CUDA(cudaStreamSynchronize(stream_));
  }

 private:
  cudaStream_t stream_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
};

void test_replays(const reset::SamplerDevice& device, Verdict& verdict) {
  constexpr std::int32_t kColumns = 20000;
  constexpr int kSlots = 3;
  constexpr int kReplays = 40;
  reset::SamplerConfig config;
  config.vocabulary = kColumns;
  config.slots = kSlots;
  std::vector<reset::Half> logits;
  std::vector<reset::SamplerRow> rows;
  for (int slot = 0; slot < kSlots; ++slot) {
    const auto row = convert<reset::Half>(sampler_test::make_row(kColumns, static_cast<unsigned>(slot), 1.5f, 9, 7.0f));
    logits.insert(logits.end(), row.begin(), row.end());
    rows.push_back({slot, -1, reset::kNextPosition});
  }
  const DeviceArray<reset::Half> memory(logits);
  // Other logits for every other call: what is left of the call before must not pass for this one's.
  std::rotate(logits.begin(), logits.begin() + 7777, logits.end());
  const DeviceArray<reset::Half> others(logits);
  Engine engine(device, config, kSlots);
  Engine eager(device, config, kSlots);
  reset::RequestParams request;
  request.sampling.top_p = 0.9f;
  for (int slot = 0; slot < kSlots; ++slot) {
    request.seed = static_cast<std::uint64_t>(slot);
    request.reset.window = slot == 0 ? 1 : 32;
    request.reset.history = slot == 1 ? reset::HistoryMode::kIncludeCurrent : reset::HistoryMode::kExcludeCurrent;
    engine.add(slot, request);
    eager.add(slot, request);
  }
  for (const bool dependent : {false, true}) {
    if (dependent && device.arch < 90) continue;
    const DeviceArray<reset::SamplerRow> device_rows(rows);
    DeviceArray<std::int32_t> tokens(kSlots);
    reset::SamplerCall<reset::Half> call;
    call.rows = device_rows.data();
    call.count = kSlots;
    call.tokens = tokens.data();
    Captured graph([&](cudaStream_t stream) {
      call.logits = memory.data();
      check(step(engine.device(), call, {dependent, {}}, stream), "sampler_step");
      call.logits = others.data();
      check(step(engine.device(), call, {dependent, {}}, stream), "sampler_step");
    });
    int changed = 0;
    std::vector<std::int32_t> last;
    for (int i = 0; i < kReplays; ++i) {
      tokens.poison();
      graph.replay();
      const std::vector<std::int32_t> found = tokens.download();
      eager.step(memory.data(), rows);
      const auto expected = eager.step(others.data(), rows);
      for (std::size_t s = 0; s < kSlots; ++s) {
        verdict.expect(found[s] == expected[s].token, "replay " + std::to_string(i) + ", slot " + std::to_string(s));
      }
      changed += found != last ? 1 : 0;
      last = found;
    }
    verdict.expect(changed > kReplays / 2, "replays draw new random numbers");
  }
}

// Two slots of a captured call, its rows in memory that stays where it is: those that a replay does not need have slot
// -1.
class CapturedDrafts {
 public:
  CapturedDrafts(const reset::SamplerDevice& device, bool by_commit, int tokens)
      : tokens_(tokens),
        truth_{decode_alone(device, 1, tokens), decode_alone(device, 2, tokens)},
        engine_(device, make_config(kSlots), kAll),
        logits_(kAll * static_cast<std::size_t>(kVocabulary)),
        rows_(kAll),
        found_(kAll),
        slots_(std::vector<std::int32_t>{0, 1}),
        counts_(kSlots) {
    for (int slot = 0; slot < kSlots; ++slot) engine_.add(slot, make_request(slot + 1));
    logits_.poison();
    reset::SamplerCall<float> call;
    call.logits = logits_.data();
    call.rows = rows_.data();
    call.count = kAll;
    call.tokens = found_.data();
    graph_ = std::make_unique<Captured>([&](cudaStream_t stream) {
      if (!by_commit) return check(step(engine_.device(), call, {}, stream), "sampler_step");
      check(apply(engine_.device(), call, {}, stream), "sampler_apply");
      const reset::SamplerCommit kept{slots_.data(), counts_.data(), nullptr, kSlots, {}};
      check(commit(engine_.device(), kept, stream), "sampler_commit");
    });
  }

  bool is_done() const { return std::min(done_[0], done_[1]) == tokens_; }

  // Some rows of each slot, of whose drafts some hold.
  void replay(bool by_commit, std::mt19937& random, Verdict& verdict) {
    std::vector<reset::SamplerRow> rows(kAll, {-1, -1, reset::kNextPosition});
    std::vector<std::int32_t> counts(kSlots, 0);
    std::vector<std::int32_t> expected(kAll, reset::kPlaceholderToken);
    std::vector<bool> compared(kAll, true);
    for (int slot = 0; slot < kSlots; ++slot) {
      const int left = tokens_ - done_[slot];
      const int count = std::min(left, static_cast<int>(random() % (kRows + 1)));
      const int held = count == 0 ? 0 : static_cast<int>(random() % static_cast<unsigned>(count));
      for (int i = 0; i < count; ++i) {
        const std::size_t at = static_cast<std::size_t>(slot * kRows + i);
        std::int32_t drafted = i == 0 ? reset::kPlaceholderToken : token(slot, done_[slot] + i - 1);
        if (i > held) drafted = (drafted + 1) % kVocabulary;
        rows[at] = {slot, drafted, reset::kNextPosition - i};
        if (i <= held) expected[at] = token(slot, done_[slot] + i);
        compared[at] = i <= held || !by_commit;  // apply samples behind drafts that do not hold
        upload(at, row_at(slot + 1, kFirst + done_[slot] + i));
      }
      counts[static_cast<std::size_t>(slot)] = count == 0 ? 0 : held + 1;
      done_[slot] += counts[static_cast<std::size_t>(slot)];
    }
    rows_.upload(rows);
    counts_.upload(counts);
    found_.poison();
    graph_->replay();
    const std::vector<std::int32_t> found = found_.download();
    for (std::size_t i = 0; i < found.size(); ++i) {
      verdict.expect(!compared[i] || found[i] == expected[i],
                     "captured drafts, row " + std::to_string(i) + ", token " + std::to_string(found[i]));
    }
  }

  void expect_end(Verdict& verdict) const {
    for (int slot = 0; slot < kSlots; ++slot) {
      verdict.expect(same_states(engine_.state(slot), truth_[slot].state, kVocabulary), "captured drafts: memory");
    }
  }

 private:
  static constexpr int kSlots = 2;
  static constexpr int kAll = kSlots * kRows;

  std::int32_t token(int slot, int at) const { return truth_[slot].tokens[static_cast<std::size_t>(at)].token; }
  void upload(std::size_t at, const std::vector<float>& row) {
    CHECK_CUDA(cudaMemcpy(logits_.data() + at * static_cast<std::size_t>(kVocabulary), row.data(),
                          row.size() * sizeof(float), cudaMemcpyHostToDevice));
  }

  int tokens_;
  int done_[kSlots] = {};
  Decoded truth_[kSlots];
  Engine engine_;
  DeviceArray<float> logits_;
  DeviceArray<reset::SamplerRow> rows_;
  DeviceArray<std::int32_t> found_;
  DeviceArray<std::int32_t> slots_;
  DeviceArray<std::int32_t> counts_;
  std::unique_ptr<Captured> graph_;
};

void test_captured_drafts(const reset::SamplerDevice& device, bool by_commit, Verdict& verdict) {
  CapturedDrafts drafts(device, by_commit, 60);
  std::mt19937 random(13);
  while (!drafts.is_done()) drafts.replay(by_commit, random, verdict);
  drafts.expect_end(verdict);
}

// The number of a row's call begins anew, and a row is refused in between.
void test_calls(const reset::SamplerDevice& device, Verdict& verdict) {
  constexpr std::int32_t kColumns = 60000;
  reset::SamplerConfig config;
  config.vocabulary = kColumns;
  Engine engine(device, config, 1);
  Engine fresh(device, config, 1);
  engine.begin_at_call(0xfffffffdu);
  const reset::RequestParams request;
  engine.add(0, request);
  fresh.add(0, request);
  for (int i = 0; i < 6; ++i) {
    const DeviceArray<float> memory(sampler_test::make_row(kColumns, static_cast<unsigned>(i), 1.5f, 9, 7.0f));
    const reset::SamplerRow row{0, -1, reset::kNextPosition};
    if (i % 2 == 1) engine.step(memory.data(), {{7, -1, reset::kNextPosition}});
    const auto found = engine.step(memory.data(), {row});
    verdict.expect(same_bits(found[0], fresh.step(memory.data(), {row})[0]), "call " + std::to_string(i));
  }
}

// Two samplers on two streams at once: each gives what it gives alone.
void test_streams(const reset::SamplerDevice& device, Verdict& verdict) {
  constexpr std::int32_t kColumns = 60000;
  constexpr int kSteps = 60;
  reset::SamplerConfig config;
  config.vocabulary = kColumns;
  const DeviceArray<float> memory(sampler_test::make_row(kColumns, 4, 1.5f, 9, 7.0f));
  const DeviceArray<reset::SamplerRow> rows({{0, -1, reset::kNextPosition}});
  DeviceArray<std::int32_t> tokens(2 * kSteps);
  tokens.poison();
  Engine first(device, config, 1);
  Engine second(device, config, 1);
  cudaStream_t streams[2] = {};
  const Engine* engines[2] = {&first, &second};
  for (const std::uint64_t i : {0u, 1u}) {
    reset::RequestParams request;
    request.seed = i;
    request.sampling.top_p = i == 0 ? 1.0f : 0.95f;
    (i == 0 ? first : second).add(0, request);
    CHECK_CUDA(cudaStreamCreateWithFlags(&streams[i], cudaStreamNonBlocking));
  }
  CHECK_CUDA(cudaDeviceSynchronize());
  for (int step_index = 0; step_index < kSteps; ++step_index) {
    for (int i = 0; i < 2; ++i) {
      reset::SamplerCall<float> call;
      call.logits = memory.data();
      call.rows = rows.data();
      call.count = 1;
      call.tokens = tokens.data() + i * kSteps + step_index;
      check(step(engines[i]->device(), call, {}, streams[i]), "sampler_step");
    }
  }
  CHECK_CUDA(cudaDeviceSynchronize());
  const std::vector<std::int32_t> found = tokens.download();
  for (int i = 0; i < 2; ++i) {
    CHECK_CUDA(cudaStreamDestroy(streams[i]));
    Engine alone(device, config, 1);
    reset::RequestParams request;
    request.seed = static_cast<std::uint64_t>(i);
    request.sampling.top_p = i == 0 ? 1.0f : 0.95f;
    alone.add(0, request);
    for (int step_index = 0; step_index < kSteps; ++step_index) {
      const auto expected = alone.step(memory.data(), {{0, -1, reset::kNextPosition}});
      verdict.expect(found[static_cast<std::size_t>(i * kSteps + step_index)] == expected[0].token,
                     "stream " + std::to_string(i) + ", token " + std::to_string(step_index));
    }
  }
}

}  // namespace

int test_graph(const reset::SamplerDevice& device) {
  Verdict verdict("graph");
  test_replays(device, verdict);
  test_captured_drafts(device, false, verdict);
  test_captured_drafts(device, true, verdict);
  test_streams(device, verdict);
  test_calls(device, verdict);
  return verdict.failures();
}

}  // namespace device_test
