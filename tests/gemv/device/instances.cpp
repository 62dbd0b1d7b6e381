// A build of some kernels gives the bits of the build of all, and refuses what those do not serve.
#include <cstdio>
#include <vector>

#include "gemv/device/few_kernels.hpp"
#include "gemv/device/launcher.hpp"
#include "gemv/device/samples.hpp"
#include "gemv/device/tests.hpp"

namespace {

using reset::GemvPolicy;

class Comparison {
 public:
  explicit Comparison(const reset::DeviceInfo& device) : device_(device) {
    failures_ = launched(few::prepare(device.device, few_));
  }

  // With `pinned` the policy is given, otherwise it is the selector's, and left to the entries.
  void compare(Case& call, const GemvPolicy& policy, bool pinned) {
    call.poison();
    const std::vector<std::uint8_t> untouched = call.output();
    failures_ += launched(pinned ? run(call.problem(), policy, device_, false, nullptr)
                                 : run(call.problem(), device_, false, nullptr));
    CHECK_CUDA(cudaDeviceSynchronize());
    const std::vector<std::uint8_t> expected = call.output();
    call.poison();
    const reset::Status status = pinned ? few::run(call.problem(), policy, few_, false, nullptr)
                                        : few::run(call.problem(), few_, false, nullptr);
    CHECK_CUDA(cudaDeviceSynchronize());
    int* calls = coverage_.of(policy, call.problem());
    if (calls == nullptr) {
      const bool refused = status.code() == reset::StatusCode::kUnsupported && call.output() == untouched;
      if (!refused) failures_ += fail(call.options(), "a kernel that was not compiled was not refused");
      ++refusals_;
      return;
    }
    failures_ += launched(status);
    ++*calls;
    if (call.output() != expected) failures_ += fail(call.options(), "other bits with a few kernels");
  }

  int end() {
    const int missing = coverage_.missing(device_, 1);
    if (missing > 0) std::printf("FAILED: %d of the few kernels served no call\n", missing);
    std::printf("instances: %d calls refused, %d failures\n", refusals_, failures_);
    return failures_ + missing + (refusals_ == 0 ? 1 : 0);
  }

 private:
  reset::DeviceInfo device_;
  reset::DeviceInfo few_;
  few::Coverage coverage_;
  int failures_ = 0;
  int refusals_ = 0;
};

}  // namespace

int test_instances(const reset::DeviceInfo& device) {
  Comparison comparison(device);
  for (const CaseOptions& options : samples()) {
    Case call(options, device);
    comparison.compare(call, reset::select_gemv_policy(device, call.problem()), false);
    for (const GemvPolicy& policy : {reset::tensor_policy(device, options.m, options.k),
                                     reset::tensor_ring_policy(device, options.m, options.n, options.k),
                                     reset::tensor_ring_policy(device, options.m, options.n, options.k, true),
                                     reset::ring_policy(device, options.activation, options.m, options.k)}) {
      if (validate(policy, call.problem(), device).ok()) comparison.compare(call, policy, true);
    }
  }
  return comparison.end();
}
