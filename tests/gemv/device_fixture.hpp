// What `gemv_prepare` finds on a device of each target.
#pragma once

#include <reset/gemv/policy.hpp>

inline reset::DeviceInfo device_of(int arch) {
  reset::DeviceInfo device;
  device.arch = arch;
  device.sm_count = 132;
  device.shared_bytes = (arch >= 120 || arch == 86 || arch == 89 ? 99 : arch == 80 ? 163 : 227) * 1024;
  if (arch < 90) return device;
  device.clusters[0] = 66;
  device.clusters[1] = 30;
  device.clusters[2] = 15;
  return device;
}
