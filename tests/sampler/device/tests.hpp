// The device tests of the sampler: each prints what failed and returns how many checks did.
#pragma once

#include <reset/sampler/device_sampler.hpp>

namespace device_test {

// Entropies of rows of their own.
int test_entropy_logits(const reset::SamplerDevice& device, bool reduced);
// What a request can turn off or ask for, against the host sampler.
int test_options(const reset::SamplerDevice& device);
// One row of every type, width, alignment and shape against the host sampler and the oracle.
int test_rows(const reset::SamplerDevice& device, bool reduced);
// Long requests with every detector, token for token against the host sampler.
int test_traces(const reset::SamplerDevice& device, bool reduced);
// Recorded rows of a model against the host sampler and the recording.
int test_recorded(const reset::SamplerDevice& device, bool reduced);
// Each detector alone against the host sampler.
int test_detectors(const reset::SamplerDevice& device, bool reduced);
// The same bits for every batch, order of rows and cut of the work.
int test_invariance(const reset::SamplerDevice& device, bool reduced);
// Rows that are no distribution, calls that make no sense.
int test_misuse(const reset::SamplerDevice& device);
// Graphs that are captured once and advance the random numbers with every replay.
int test_graph(const reset::SamplerDevice& device);
// Match mode by one launch and by apply and commit, preemption, commits that cannot be.
int test_drafts(const reset::SamplerDevice& device, bool reduced);
// Drafts by chance against the host sampler.
int test_rejection(const reset::SamplerDevice& device, bool reduced);
// What a slot keeps, and what it does not: new requests in old slots, imports, refusals.
int test_slots(const reset::SamplerDevice& device);
// Parameters that change while a request runs, each against the host sampler.
int test_updates(const reset::SamplerDevice& device);
// Chi-square against softmax.
int test_distribution(const reset::SamplerDevice& device, bool reduced);

}  // namespace device_test
