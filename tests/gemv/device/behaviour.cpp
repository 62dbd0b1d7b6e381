#include <cstdio>
#include <cstring>
#include <vector>

#include "gemv/device/case.hpp"
#include "gemv/device/launcher.hpp"
#include "gemv/device/samples.hpp"
#include "gemv/device/tests.hpp"

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

// The call of one of its tokens.
reset::GemvProblem alone(const reset::GemvProblem& problem, std::int64_t token) {
  reset::GemvProblem result = problem;
  result.tokens = 1;
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
  const auto bytes = static_cast<std::size_t>(call.options().n * reset::element_bytes(call.options().output));
  const std::int64_t step = reduced && call.options().m > 1 ? call.options().m - 1 : 1;  // the first and the last
  for (std::int64_t token = 0; token < call.options().m; token += step) {
    call.poison();
    failures += launched(run(alone(call.problem(), token), policy, device, false, nullptr));
    CHECK_CUDA(cudaDeviceSynchronize());
    if (std::memcmp(&together[static_cast<std::size_t>(token) * bytes], call.output().data(), bytes) != 0) {
      failures += fail(call.options(), "a token alone differs");
    }
  }
  return failures;
}

}  // namespace

int test_rows_are_independent(const reset::DeviceInfo& device, bool reduced) {
  int failures = 0;
  int policies = 0;
  for (CaseOptions options : samples()) {
    options.residual = Residual::kNone;
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

int test_refusals(const reset::DeviceInfo& device) {
  CaseOptions options;
  Case call(options, device);
  int failures = 0;
  const auto refused = [&](const reset::GemvProblem& problem, const char* argument) {
    const reset::Status status = run(problem, device, false, nullptr);
    if (status.code() != reset::StatusCode::kInvalidArgument || std::strcmp(status.argument(), argument) != 0) {
      failures += fail(options, argument);
    }
  };
  reset::GemvProblem problem = call.problem();
  problem.tokens = 17;
  refused(problem, "tokens");
  problem = call.problem();
  problem.output.data = const_cast<std::uint8_t*>(problem.weights.packed);
  refused(problem, "output.data");
  const auto refused_policy = [&](const reset::GemvPolicy& policy) {
    if (run(call.problem(), policy, device, false, nullptr).ok()) failures += fail(options, "a bad policy");
  };
  reset::GemvPolicy policy = reset::ring_policy(90, options.activation, 1, options.k);
  policy.stages = 5;
  refused_policy(policy);
  policy = reset::tensor_policy(device, 1, options.k);
  policy.cluster = 2;
  refused_policy(policy);
  policy = reset::tensor_ring_policy(device, 1, options.n, options.k);
  policy.row_groups = 2;
  policy.stages = 3;
  refused_policy(policy);
  reset::DeviceInfo other = device;  // as of a second device, which is not the current one
  other.device = device.device + 1;
  const reset::Status elsewhere = run(call.problem(), other, false, nullptr);
  if (elsewhere.code() != reset::StatusCode::kInvalidArgument ||
      std::strcmp(elsewhere.argument(), "device.device") != 0) {
    failures += fail(options, "another device's description");
  }
  CHECK_CUDA(cudaDeviceSynchronize());
  const std::vector<std::uint8_t> output = call.output();
  for (const std::uint8_t byte : output) {
    if (byte != 0xff) return failures + fail(options, "a refused call wrote");
  }
  std::printf("refusals: %d failures\n", failures);
  return failures;
}
