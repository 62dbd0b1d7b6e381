// Chains of dependent launches of every policy of kTensorRing that a shape allows. A chain that does not end is told
// from one that is slow: a dead-lock names its policy.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <thread>
#include <tuple>
#include <vector>

#include "gemv/device/case.hpp"
#include "gemv/device/launcher.hpp"
#include "gemv/device/memory.hpp"
#include "gemv/device/tests.hpp"

namespace {

using reset::GemvPolicy;

constexpr int kLaunches = 50;
constexpr std::size_t kCopies = 24;  // of the weights, 100 MB: more than the second level of cache holds

std::string text(const GemvPolicy& policy) {
  char line[128];
  std::snprintf(line, sizeof line, "tokens %d cluster %d k_warps %d row_groups %d stages %d odd %d", policy.tokens,
                policy.cluster, policy.k_warps, policy.row_groups, policy.stages, policy.odd_rows);
  return line;
}

std::vector<GemvPolicy> policies(const Case& call, const reset::DeviceInfo& device) {
  std::vector<GemvPolicy> list;
  const int units = reset::detail::k_units(call.options().k);
  for (const int tokens : {1, 8, 16}) {
    for (const int cluster : {1, 2, 4, 8}) {
      for (int groups = 1; groups <= 8; ++groups) {
        for (int stages = groups; stages <= 16; stages += groups) {
          GemvPolicy policy;
          policy.kernel = reset::GemvKernel::kTensorRing;
          policy.tokens = tokens;
          policy.cluster = policy.slices = cluster;
          policy.k_warps = (units + cluster - 1) / cluster;
          policy.row_groups = groups;
          policy.stages = stages;
          for (const bool odd : {false, true}) {
            policy.odd_rows = odd;
            if (validate(policy, call.problem(), device).ok()) list.push_back(policy);
          }
        }
      }
    }
  }
  return list;
}

void wait_or_die(cudaStream_t stream, const GemvPolicy& policy) {
  const auto begin = std::chrono::steady_clock::now();
  while (cudaStreamQuery(stream) == cudaErrorNotReady) {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
    if (std::chrono::steady_clock::now() - begin > std::chrono::seconds(10)) {
      std::printf("FAILED: a chain does not end: %s\n", text(policy).c_str());
      std::fflush(stdout);
      std::_Exit(1);  // the runtime's own end would wait for the kernel
    }
  }
  check(cudaDeviceSynchronize(), text(policy).c_str());
}

class Stress {
 public:
  Stress(const CaseOptions& options, const reset::DeviceInfo& device)
      : device_(device),
        call_(options, device),
        bytes_(call_.output().size()),
        outputs_(std::vector<std::uint8_t>(bytes_ * kLaunches, 0xff)) {
    CHECK_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    call_.serve_with(reset::GemvKernel::kTensorRing);
    const reset::Nvfp4MatrixView& w = call_.problem().weights;
    std::vector<std::uint8_t> weights(static_cast<std::size_t>(w.rows * w.row_stride));
    CHECK_CUDA(cudaMemcpy(weights.data(), w.packed, weights.size(), cudaMemcpyDeviceToHost));
    for (std::size_t i = 0; i < kCopies; ++i) copies_.push_back(std::make_unique<DeviceBytes>(weights));
  }

  ~Stress() { cudaStreamDestroy(stream_); }
  Stress(const Stress&) = delete;
  Stress& operator=(const Stress&) = delete;

  int run_all() {
    int failures = 0;
    const std::vector<GemvPolicy> list = policies(call_, device_);
    for (const GemvPolicy& policy : list) {
      const std::string wrong = run_one(policy);
      if (wrong.empty()) continue;
      ++failures;
      std::printf("FAILED: %s: %s: %s\n", call_.options().text().c_str(), text(policy).c_str(), wrong.c_str());
    }
    std::printf("stress, %d tokens: %d policies, %d failures\n", static_cast<int>(call_.options().m),
                static_cast<int>(list.size()), failures);
    return failures + (list.empty() ? 1 : 0);
  }

 private:
  std::string run_one(const GemvPolicy& policy) {
    outputs_.upload(std::vector<std::uint8_t>(bytes_ * kLaunches, 0xff));
    CHECK_CUDA(cudaDeviceSynchronize());
    reset::GemvProblem problem = call_.problem();
    for (std::size_t i = 0; i < kLaunches; ++i) {
      problem.weights.packed = copies_[i % kCopies]->data();
      problem.output.data = outputs_.data() + i * bytes_;
      const reset::Status status = run(problem, policy, device_, true, stream_);
      if (!status.ok()) return status.message();
    }
    wait_or_die(stream_, policy);
    const std::vector<std::uint8_t> all = outputs_.download();
    // The cut of K alone decides the bits: not the groups, the stages or the launch.
    std::vector<std::uint8_t>& first = bits_[{policy.tokens, policy.cluster, policy.k_warps}];
    if (first.empty()) {
      first.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(bytes_));
      if (std::string wrong = call_.compare(first); !wrong.empty()) return wrong;
    }
    for (std::size_t i = 0; i < kLaunches; ++i) {
      if (std::memcmp(first.data(), &all[i * bytes_], bytes_) != 0) return "other bits in launch " + std::to_string(i);
    }
    return "";
  }

  reset::DeviceInfo device_;
  cudaStream_t stream_ = nullptr;
  Case call_;
  std::size_t bytes_;
  DeviceBytes outputs_;
  std::vector<std::unique_ptr<DeviceBytes>> copies_;
  std::map<std::tuple<int, int, int>, std::vector<std::uint8_t>> bits_;
};

}  // namespace

int test_stress(const reset::DeviceInfo& device) {
  if (device.arch < 90) {
    std::printf("stress: no kernel with bulk copies on this target\n");
    return 0;
  }
  // Of few multiprocessors and slow memory: many tiles a cluster, one stage on its way at a time.
  reset::DeviceInfo slow = device;
  slow.sm_count = 8;
  slow.clusters[0] = 4, slow.clusters[1] = 2, slow.clusters[2] = 1;
  slow.memory_bandwidth = 1;
  int failures = 0;
  for (const reset::ActivationType activation :
       {reset::ActivationType::kNvfp4, reset::ActivationType::kFp16, reset::ActivationType::kBf16}) {
    for (const std::int64_t m : {1, 2, 8, 16}) {
      CaseOptions options;
      options.n = 2048;
      options.k = 4096;
      options.m = m;
      options.activation = activation;
      failures += Stress(options, device).run_all();
      // Swizzled scales in boxes, or, where the matrix does not begin with a tile of them, by several warps.
      if (m != 2) options.layout = reset::ScaleLayout::kSwizzled128x4;
      if (m == 8) options.row_origin = 32;
      failures += Stress(options, slow).run_all();
      CaseOptions odd = options;
      odd.layout = reset::ScaleLayout::kLinear;
      odd.k = 4112;
      odd.row_origin = 5;
      failures += Stress(odd, m == 2 ? device : slow).run_all();
    }
  }
  return failures;
}
