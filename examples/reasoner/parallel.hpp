// Many problems on many threads, each with its own model over the same weights.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "solver.hpp"

namespace reasoner {

// Problem i is sampled with the seed `seed` + i into solutions[i], whatever the number of threads. `next` counts the
// problems that have been begun. Throws what a solver throws, once all threads have ended.
void solve_in_parallel(const engine::Weights& weights, const reset::Vocabulary& vocabulary, const Policy& policy,
                       const std::vector<Problem>& problems, std::uint64_t seed, int threads,
                       std::atomic<std::size_t>& next, std::vector<Solution>& solutions);

}  // namespace reasoner
