// Every kernel of the device sampler for one detector and one type of logits. Compiled several times under several
// names.
#include <reset/sampler/reset_sampler.cuh>

#include "sampler/entry/run_time_entry.hpp"

#if !defined(RESET_TEST_ENTRY)
#define RESET_TEST_ENTRY run_time_entry
#endif

reset::Status RESET_TEST_ENTRY(const EntrySampler& sampler, const reset::SamplerCall<reset::BFloat16>& call,
                               cudaStream_t stream) {
  reset::SamplerDevice device;
  if (stream == nullptr) return reset::sampler_prepare(0, device);
  if (call.tokens == nullptr) return reset::sampler_commit(sampler, {}, stream);
  if (call.results == nullptr) return reset::sampler_add(sampler, -1, {}, stream);
  if (call.logits == nullptr) return reset::sampler_update(sampler, -1, {}, stream);
  if (call.rows == nullptr) return reset::sampler_import(sampler, -1, {}, stream);
  return reset::sampler_step(sampler, call, {}, stream);
}
