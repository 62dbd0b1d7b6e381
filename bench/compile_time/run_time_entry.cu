// The run-time entry of the mat-vec: every kernel that it can choose.
#include <reset/reset.cuh>

reset::Status run_time_entry(const reset::GemvProblem& problem, const reset::DeviceInfo& device, cudaStream_t stream) {
  return reset::gemv(problem, device, {}, stream);
}
