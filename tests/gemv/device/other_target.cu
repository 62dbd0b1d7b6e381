// Compiled for sm_80 alone: on another device gemv_prepare says so, and changes nothing. Exits with 77 where there is
// no GPU, or one that runs it.
#include <cstdio>

#include <reset/gemv/launch.cuh>

namespace {

constexpr reset::GemvShape kAnyhow = reset::aligned_shape(reset::ActivationType::kBf16, 8, 128, 528);
constexpr reset::GemvInstance kInstance = reset::gemv_instance(reset::GemvPolicy{}, kAnyhow);

}  // namespace

int main() {
  int devices = 0;
  int major = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0 ||
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0) != cudaSuccess || major == 8) {
    std::printf("skipped: no GPU that cannot run code for sm_80\n");
    return 77;
  }
  reset::DeviceInfo info;
  info.sm_count = -1;
  const reset::Status status = reset::gemv_prepare<kInstance>(0, info);
  std::printf("%s\n", status.message().c_str());
  const bool good = status.code() == reset::StatusCode::kUnsupported && info.sm_count == -1 && info.arch == 0;
  std::printf(good ? "passed\n" : "FAILED: not refused as unsupported\n");
  return good ? 0 : 1;
}
