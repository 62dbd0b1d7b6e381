// Two translation units with the same kernels, of different targets or relocatable, are one program. Running it
// registers both with the CUDA runtime, which needs no GPU; the malformed call ends before the runtime is asked.
#include <cstdint>
#include <cstdio>

#include <reset/gemv/policy.hpp>
#include <reset/gemv/problem.hpp>
#include <reset/status.hpp>

struct CUstream_st;

reset::Status first_entry(const reset::GemvProblem& problem, int ordinal, reset::DeviceInfo& device,
                          CUstream_st* stream);
reset::Status second_entry(const reset::GemvProblem& problem, int ordinal, reset::DeviceInfo& device,
                           CUstream_st* stream);

int main() {
  reset::GemvProblem problem;
  problem.tokens = 17;
  reset::DeviceInfo device;
  auto* stream = reinterpret_cast<CUstream_st*>(std::uintptr_t{16});
  for (const auto entry : {first_entry, second_entry}) {
    const reset::Status status = entry(problem, 0, device, stream);
    if (status.code() != reset::StatusCode::kInvalidArgument) {
      std::printf("not refused: %s\n", status.message().c_str());
      return 1;
    }
  }
  return 0;
}
