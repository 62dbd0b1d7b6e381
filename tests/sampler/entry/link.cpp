// Two translation units with the same kernels, of different targets or relocatable, are one program. Running it
// registers both with the CUDA runtime, which needs no GPU; the malformed call ends before the runtime is asked.
#include <cstdint>
#include <cstdio>

#include "sampler/entry/run_time_entry.hpp"

reset::Status first_entry(const EntrySampler& sampler, const reset::SamplerCall<reset::BFloat16>& call,
                          CUstream_st* stream);
reset::Status second_entry(const EntrySampler& sampler, const reset::SamplerCall<reset::BFloat16>& call,
                           CUstream_st* stream);

int main() {
  reset::SamplerConfig config;
  config.vocabulary = 100;
  // Addresses that nothing reads.
  void* memory = reinterpret_cast<void*>(std::uintptr_t{4096});
  const EntrySampler sampler(config, 1, {0, 90, 132}, memory, reset::TokenSetDetector(nullptr, 0));
  reset::SampledToken result;
  std::int32_t token = 0;
  const reset::SamplerRow row;
  reset::SamplerCall<reset::BFloat16> call;
  call.tokens = &token;
  call.results = &result;
  call.rows = &row;
  call.count = 2;
  auto* stream = reinterpret_cast<CUstream_st*>(std::uintptr_t{16});
  for (const auto entry : {first_entry, second_entry}) {
    const reset::Status status = entry(sampler, call, stream);
    if (status.code() != reset::StatusCode::kInvalidArgument) {
      std::printf("not refused: %s\n", status.message().c_str());
      return 1;
    }
  }
  return 0;
}
