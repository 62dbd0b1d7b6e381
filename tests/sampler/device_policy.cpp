// How calls are spread over devices of any size, as far as it can be said without one.
#include <algorithm>

#include <reset/sampler/boundary/none.hpp>
#include <reset/sampler/detail/device_policy.hpp>
#include <reset/sampler/device_sampler.hpp>

#include "support/catch.hpp"

using reset::SamplerPolicy;
using reset::detail::choose_policy;
using reset::detail::chunk_rounds;
using reset::detail::kResidentCtas;
using reset::detail::kSamplerWarps;

namespace {

constexpr int kMostChunks = 256;  // of 262,144 logits
constexpr int kMultiprocessors[] = {1, 2, 3, 14, 46, 108, 132, 148, 188};

struct Call {
  int multiprocessors;
  int rows;
  int chunks;
  int resident() const { return kResidentCtas * multiprocessors; }
  SamplerPolicy choose(const SamplerPolicy& wanted = {}) const {
    return choose_policy(wanted, chunks, rows, multiprocessors);
  }
};

template <class Check>
void for_each_call(Check check) {
  for (const int multiprocessors : kMultiprocessors) {
    for (int rows = 1; rows <= 400; rows += rows < 12 ? 1 : 37) {
      for (int chunks = 1; chunks <= kMostChunks; ++chunks) check(Call{multiprocessors, rows, chunks});
    }
  }
}

int groups_of(const SamplerPolicy& policy) { return kSamplerWarps / policy.chunk_warps; }

// Chunks that the warps of one multiprocessor take one after the other, its CTAs side by side.
int rounds_of(const Call& call, int parts, int chunk_warps) {
  const int rounds = chunk_rounds(call.chunks, parts, kSamplerWarps / chunk_warps);
  return call.rows * parts > call.multiprocessors ? kResidentCtas * rounds : rounds;
}

}  // namespace

TEST_CASE("device policy: every choice can be launched") {
  for_each_call([](const Call& call) {
    const SamplerPolicy policy = call.choose();
    CAPTURE(call.multiprocessors, call.rows, call.chunks, policy.parts, policy.chunk_warps);
    const int groups = groups_of(policy);
    REQUIRE((policy.chunk_warps == 1 || policy.chunk_warps == 4));
    REQUIRE(policy.parts >= 1);
    REQUIRE((policy.parts - 1) * groups < call.chunks);  // every CTA has a chunk
    REQUIRE(policy.parts <= kMostChunks);
  });
}

// The last CTA of a row waits for the others of the row, and could for ever if such CTAs filled the device.
TEST_CASE("device policy: CTAs that wait leave half of a device to those that do not, whatever is wanted") {
  const SamplerPolicy wishes[] = {{0, 0}, {0, 1}, {0, 4}, {2, 0}, {2, 1}, {7, 4}, {256, 1}, {256, 4}};
  for_each_call([&wishes](const Call& call) {
    for (const SamplerPolicy& wanted : wishes) {
      const SamplerPolicy policy = call.choose(wanted);
      CAPTURE(call.multiprocessors, call.rows, call.chunks, policy.parts, policy.chunk_warps);
      REQUIRE((policy.parts == 1 || 2 * call.rows <= call.resident()));
    }
  });
}

TEST_CASE("device policy: one CTA a row where there are more rows than multiprocessors") {
  for_each_call([](const Call& call) {
    if (call.rows > call.multiprocessors) REQUIRE(call.choose().parts == 1);
  });
}

TEST_CASE("device policy: what it chooses runs at once, four warps a chunk only where all are read at once") {
  for_each_call([](const Call& call) {
    const SamplerPolicy policy = call.choose();
    CAPTURE(call.multiprocessors, call.rows, call.chunks, policy.parts, policy.chunk_warps);
    if (policy.parts > 1) REQUIRE(policy.parts * call.rows <= call.resident());
    const bool at_once = call.rows * call.chunks * 4 <= call.resident() * kSamplerWarps;
    REQUIRE((policy.chunk_warps == 4) == at_once);
    // Rows whose chunks do not divide evenly among their CTAs take another round.
    if (at_once && policy.parts > 1) REQUIRE(chunk_rounds(call.chunks, policy.parts, groups_of(policy)) <= 2);
  });
}

TEST_CASE("device policy: with a warp a chunk, no number of CTAs that run at once takes fewer rounds") {
  for_each_call([](const Call& call) {
    const SamplerPolicy policy = call.choose();
    if (2 * call.rows > call.resident() || policy.chunk_warps != 1) return;
    const int chosen = rounds_of(call, policy.parts, policy.chunk_warps);
    int best = chosen;
    for (int parts = 1; parts * call.rows <= call.resident(); ++parts) {
      best = std::min(best, rounds_of(call, parts, policy.chunk_warps));
    }
    CAPTURE(call.multiprocessors, call.rows, call.chunks, policy.parts, policy.chunk_warps, best);
    REQUIRE(chosen == best);
  });
}

TEST_CASE("device policy: what is wanted is kept as far as rows have chunks") {
  for_each_call([](const Call& call) {
    for (const int parts : {1, 3, 40, 256}) {
      for (const int warps : {1, 4}) {
        const SamplerPolicy policy = call.choose({parts, warps});
        CAPTURE(call.multiprocessors, call.rows, call.chunks, parts, warps);
        const int most = (call.chunks + kSamplerWarps / warps - 1) / (kSamplerWarps / warps);
        REQUIRE(policy.chunk_warps == warps);
        REQUIRE(policy.parts == (2 * call.rows > call.resident() ? 1 : std::min(parts, most)));
      }
    }
  });
}

TEST_CASE("device policy: a sampler of a device that nobody has looked at is refused") {
  using Sampler = reset::ReSETSampler<reset::NoDetector, reset::DeviceBackend>;
  alignas(256) unsigned char memory[256];
  reset::SamplerConfig config;
  config.vocabulary = 1000;
  reset::SamplerDevice device;
  CHECK_THROWS_WITH(Sampler(config, 1, device, memory),
                    "invalid argument: device.sm_count is 0, expected what sampler_prepare finds");
  device.sm_count = 132;
  CHECK_NOTHROW(Sampler(config, 1, device, memory));
  CHECK_THROWS_WITH(
      Sampler(config, 1, device, memory + 16),
      "invalid argument: memory is 16, expected an address that 256 divides (the value is the remainder)");
}
