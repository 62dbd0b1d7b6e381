#include "gemv/device/samples.hpp"

#include <cstdio>

using reset::ActivationType;

int fail(const CaseOptions& options, const char* what) {
  std::printf("FAILED: %s: %s\n", options.text().c_str(), what);
  return 1;
}

int launched(const reset::Status& status) {
  if (status.ok()) return 0;
  std::printf("FAILED: %s\n", status.message().c_str());
  return 1;
}

std::vector<CaseOptions> samples() {
  std::vector<CaseOptions> list;
  for (const ActivationType activation : {ActivationType::kNvfp4, ActivationType::kFp16, ActivationType::kBf16}) {
    for (const std::int64_t m : {1, 2, 5, 8, 9, 16}) {
      for (int placing = 0; placing < 6; ++placing) {
        CaseOptions options;
        options.activation = activation;
        options.m = m;
        options.n = 1500;
        options.k = m == 5 ? 5376 : 1024;  // 21 units of K: several CTAs of a cluster, or slices
        if (placing == 1 || placing == 3) options.layout = reset::ScaleLayout::kSwizzled128x4;
        if (placing == 2) options.misalignment = 2;
        if (placing == 3) options.n = 1536;
        if (placing == 4) options.k += 16;
        if (placing == 5) options.misalignment = 8;
        options.residual = Residual::kApart;
        options.output = reset::OutputType::kBf16;
        options.bias = true;
        options.device_alpha = true;
        list.push_back(options);
      }
    }
  }
  return list;
}

reset::DeviceInfo with_few_multiprocessors(reset::DeviceInfo device) {
  constexpr int kFew = 3;
  device.memory_bandwidth = device.memory_bandwidth * kFew / device.sm_count;
  device.sm_count = kFew;
  if (device.arch >= 90) device.clusters[0] = 2, device.clusters[1] = device.clusters[2] = 1;
  return device;
}
