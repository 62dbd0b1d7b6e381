// The mat-vec's run-time entry: every kernel that it can choose. Compiled several times under several names. The
// headers come in the order in which a reader meets them: names of one room must not meet those of another.
// clang-format off
#include <reset/reset.hpp>
#include <reset/sampler/reset_sampler.cuh>
#include <reset/gemv/launch.cuh>
#include <reset/nvfp4/quantize.cuh>
// clang-format on

#if !defined(RESET_TEST_ENTRY)
#define RESET_TEST_ENTRY run_time_entry
#endif

reset::Status RESET_TEST_ENTRY(const reset::GemvProblem& problem, int ordinal, reset::DeviceInfo& device,
                               cudaStream_t stream) {
  if (stream == nullptr) return reset::gemv_prepare(ordinal, device);
  return reset::gemv(problem, device, {}, stream);
}
