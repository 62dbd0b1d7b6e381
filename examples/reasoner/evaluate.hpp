// The solve rate on many problems, with ReSET and without.
#pragma once

#include <cstdint>
#include <vector>

#include <reset/sampler/boundary/vocabulary.hpp>

#include "countdown.hpp"
#include "recorder.hpp"
#include "solver.hpp"
#include "terminal.hpp"
#include "weights.hpp"

namespace reasoner {

// Solves every problem once at the policy's one temperature and once with ReSET, whichever `policy` asks for, with the
// same seeds, on all cores, and prints both solve rates with their intervals and the paired difference. Where not null,
// `recorder` gets every answer.
void evaluate(const engine::Weights& weights, const reset::Vocabulary& vocabulary, const Policy& policy,
              const std::vector<Problem>& problems, std::uint64_t seed, const console::Terminal& terminal,
              Recorder* recorder);

}  // namespace reasoner
