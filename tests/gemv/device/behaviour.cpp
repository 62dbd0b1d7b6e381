#include <algorithm>
#include <cstdio>
#include <vector>

#include "gemv/device/case.hpp"
#include "gemv/device/launcher.hpp"
#include "gemv/device/samples.hpp"
#include "gemv/device/tests.hpp"
#include "gemv/malformed.hpp"

namespace {

using reset::ActivationType;

constexpr std::int64_t kMost = reset::kMaxGemvTokens;

// Whether samples() has all that it should.
int check_samples(const reset::DeviceInfo& device) {
  bool seen[3][17] = {};
  bool spread[3][17] = {};  // with block scales in pieces of tiles
  bool odd[17] = {};
  for (const CaseOptions& options : samples()) {
    const Case call(options, device);
    const reset::GemvPolicy policy = reset::select_gemv_policy(device, call.problem());
    seen[static_cast<std::size_t>(policy.kernel)][policy.tokens] = true;
    const bool tiles = reset::detail::scale_copies(shape_of(call.problem())) == reset::detail::ScaleCopies::kTiles;
    if (policy.odd_rows) odd[policy.tokens] = true;
    if (tiles) spread[static_cast<std::size_t>(policy.kernel)][policy.tokens] = true;
  }
  const bool rings = device.arch < 90 || (seen[1][1] && seen[1][8] && seen[1][16] && seen[2][1] && spread[1][1] &&
                                          spread[1][8] && spread[1][16] && spread[2][1] && odd[1] && odd[8] && odd[16]);
  if (seen[0][1] && seen[0][8] && seen[0][16] && rings) return 0;
  std::printf("FAILED: the samples miss a kernel\n");
  return 1;
}

// The call of one of its tokens, with its row of the output.
reset::GemvProblem alone(const reset::GemvProblem& problem, std::int64_t token) {
  reset::GemvProblem result = problem;
  result.tokens = 1;
  const std::int64_t row = token * problem.output.row_stride * element_bytes(problem.output.type);
  result.output.data = static_cast<std::uint8_t*>(problem.output.data) + row;
  if (problem.residual != nullptr) result.residual = static_cast<const std::uint8_t*>(problem.residual) + row;
  reset::ActivationView& x = result.activations;
  if (x.type == ActivationType::kNvfp4) {
    x.nvfp4 = reset::row_slice(x.nvfp4, token, 1);
  } else {
    x.dense = static_cast<const std::uint8_t*>(x.dense) + token * x.row_stride * 2;
  }
  return result;
}

int check_rows_alone(Case& call, const reset::GemvPolicy& policy, const reset::DeviceInfo& device, bool reduced) {
  call.poison();
  call.serve_with(policy.kernel);
  int failures = launched(run(call.problem(), policy, device, false, nullptr));
  CHECK_CUDA(cudaDeviceSynchronize());
  const std::vector<std::uint8_t> together = call.output();
  if (const std::string wrong = call.compare(together); !wrong.empty()) failures += fail(call.options(), wrong.c_str());
  call.poison();
  const std::vector<std::uint8_t> untouched = call.output();
  const reset::OutputView& output = call.problem().output;
  const auto bytes = output.row_stride * reset::element_bytes(output.type);
  const std::int64_t step = reduced && call.options().m > 1 ? call.options().m - 1 : 1;  // the first and the last
  for (std::int64_t token = 0; token < call.options().m; token += step) {
    call.poison();
    failures += launched(run(alone(call.problem(), token), policy, device, false, nullptr));
    CHECK_CUDA(cudaDeviceSynchronize());
    std::vector<std::uint8_t> expected = untouched;
    std::copy_n(together.begin() + token * bytes, bytes, expected.begin() + token * bytes);
    if (call.output() != expected) failures += fail(call.options(), "a token alone differs, or wrote elsewhere");
  }
  return failures;
}

}  // namespace

int test_rows_are_independent(const reset::DeviceInfo& all, bool reduced) {
  int failures = 0;
  int policies = 0;
  unsigned turn = 0;
  for (CaseOptions options : samples()) {
    // Fives and sevens: the samples come in sixes.
    ++turn;
    if (turn % 5 == 0) options.gate = reset::GemvGate::kGateUp;
    if (turn % 5 == 2) options.gate = reset::GemvGate::kUpGate;
    if (turn % 7 == 0) options.residual = Residual::kInPlace;
    const reset::DeviceInfo device = turn % 7 > 3 ? with_few_multiprocessors(all) : all;
    Case call(options, device);
    for (const std::int64_t tokens : {options.m, kMost}) {
      for (const reset::GemvPolicy& policy : {reset::tensor_policy(device, tokens, options.k),
                                              reset::tensor_ring_policy(device, tokens, options.n, options.k),
                                              reset::tensor_ring_policy(device, tokens, options.n, options.k, true)}) {
        if (!validate(policy, call.problem(), device).ok()) continue;
        failures += check_rows_alone(call, policy, device, reduced);
        ++policies;
      }
    }
  }
  std::printf("rows are independent: %d policies, %d failures\n", policies, failures);
  return failures;
}

int test_determinism(const reset::DeviceInfo& device, bool reduced) {
  int failures = check_samples(device);
  const Stream one;
  const Stream two;
  for (const CaseOptions& options : samples()) {
    Case first(options, device);
    Case second(options, device);
    failures += launched(run(first.problem(), device, false, one.stream));
    CHECK_CUDA(cudaDeviceSynchronize());
    const std::vector<std::uint8_t> expected = first.output();
    if (const std::string wrong = first.compare(expected); !wrong.empty()) failures += fail(options, wrong.c_str());
    for (int i = 0; i < (reduced ? 3 : 100); ++i) {
      first.poison();
      second.poison();
      CHECK_CUDA(cudaDeviceSynchronize());
      const bool dependent = i % 2 == 1;
      failures += launched(run(first.problem(), device, dependent, one.stream));
      failures += launched(run(second.problem(), device, dependent, two.stream));
      CHECK_CUDA(cudaDeviceSynchronize());
      if (first.output() != expected || second.output() != expected) {
        failures += fail(options, dependent ? "other bits with dependent launch" : "other bits");
        break;
      }
    }
  }
  std::printf("determinism: %d failures\n", failures);
  return failures;
}

int test_graph(const reset::DeviceInfo& device) {
  int failures = 0;
  const Stream stream;
  for (const CaseOptions& options : samples()) {
    Case call(options, device);
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    CHECK_CUDA(cudaStreamBeginCapture(stream.stream, cudaStreamCaptureModeThreadLocal));
    failures += launched(run(call.problem(), device, false, stream.stream));
    failures += launched(run(call.problem(), device, true, stream.stream));
    CHECK_CUDA(cudaStreamEndCapture(stream.stream, &graph));
    CHECK_CUDA(cudaGraphInstantiate(&executable, graph, 0));
    for (unsigned seed = 1; seed <= 3; ++seed) {
      call.refresh(seed);
      call.poison();
      CHECK_CUDA(cudaDeviceSynchronize());
      CHECK_CUDA(cudaGraphLaunch(executable, stream.stream));
      CHECK_CUDA(cudaDeviceSynchronize());
      if (const std::string wrong = call.compare(); !wrong.empty()) failures += fail(options, wrong.c_str());
    }
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
  }
  std::printf("graph: %d failures\n", failures);
  return failures;
}

namespace {

// The arguments under which a stream's calls are refused, and that they leave no node in its graph and no byte in the
// output.
class Refusals {
 public:
  explicit Refusals(const reset::DeviceInfo& device) : device_(device) {}

  // `launch(stream)` must be refused under that name, with that code.
  template <class Launch>
  void refused(const char* argument, Launch launch, reset::StatusCode code = reset::StatusCode::kInvalidArgument) {
    ++calls_;
    std::size_t nodes = 0;
    cudaGraph_t graph = nullptr;
    CHECK_CUDA(cudaStreamBeginCapture(stream_.stream, cudaStreamCaptureModeThreadLocal));
    const reset::Status captured = launch(stream_.stream);
    CHECK_CUDA(cudaStreamEndCapture(stream_.stream, &graph));
    CHECK_CUDA(cudaGraphGetNodes(graph, nullptr, &nodes));
    CHECK_CUDA(cudaGraphDestroy(graph));
    const reset::Status status = launch(stream_.stream);
    const bool named = std::strcmp(status.argument(), argument) == 0 && std::strcmp(captured.argument(), argument) == 0;
    if (named && status.code() == code && captured.code() == code && nodes == 0) return;
    ++failures_;
    std::printf("FAILED: %s: %s, %d nodes\n", argument, status.message().c_str(), static_cast<int>(nodes));
  }

  // The changed calls of a good one.
  void malformed_calls(reset::ActivationType activation) {
    CaseOptions options;
    options.n = 300;
    options.k = 512;
    options.m = 4;
    options.activation = activation;
    options.output = reset::OutputType::kBf16;
    options.residual = Residual::kApart;
    options.bias = options.device_alpha = true;
    Case call(options, device_);
    const std::vector<std::uint8_t> untouched = call.output();
    malformed::for_each([&](const Malformed& wrong) {
      if (wrong.activation != activation) return;
      reset::GemvProblem problem = call.problem();
      wrong.change(problem);
      refused(wrong.argument, [&](cudaStream_t stream) { return run(problem, device_, false, stream); });
    });
    CHECK_CUDA(cudaDeviceSynchronize());
    if (call.output() != untouched) failures_ += fail(options, "a refused call wrote");
  }

  // A good call with policies and devices that cannot serve it.
  void bad_launches() {
    const CaseOptions options;
    Case call(options, device_);
    const std::vector<std::uint8_t> untouched = call.output();
    const auto bad_policy = [&](const reset::GemvPolicy& policy, const char* argument) {
      refused(argument, [&](cudaStream_t stream) { return run(call.problem(), policy, device_, false, stream); });
    };
    reset::GemvPolicy policy = reset::tensor_policy(device_, 1, options.k);
    policy.cluster = 2;
    bad_policy(policy, "policy.cluster");
    if (device_.arch >= 90) {
      policy = reset::ring_policy(device_, options.activation, 1, options.k);
      policy.stages = 5;
      bad_policy(policy, "policy.stages");
      policy = reset::tensor_ring_policy(device_, 1, options.n, options.k);
      policy.row_groups = 2;
      policy.stages = 3;
      bad_policy(policy, "policy.stages");
    }
    reset::DeviceInfo other = device_;  // as of a second device, which is not the current one
    other.device = device_.device + 1;
    refused("device.device", [&](cudaStream_t stream) { return run(call.problem(), other, false, stream); });
    CHECK_CUDA(cudaDeviceSynchronize());
    if (call.output() != untouched) failures_ += fail(options, "a refused launch wrote");
  }

  int end() const {
    std::printf("refusals: %d calls, %d failures\n", calls_, failures_);
    return failures_;
  }

 private:
  reset::DeviceInfo device_;
  Stream stream_;
  int calls_ = 0;
  int failures_ = 0;
};

}  // namespace

int test_refusals(const reset::DeviceInfo& device) {
  Refusals refusals(device);
  for (const ActivationType activation : {ActivationType::kNvfp4, ActivationType::kFp16, ActivationType::kBf16}) {
    refusals.malformed_calls(activation);
  }
  refusals.bad_launches();
  return refusals.end();
}
