// The ways to sample that the accuracy study compares, written as text.
#pragma once

#include <string>

#include "solver.hpp"

namespace reasoner {

// "greedy", "temperature=0.6", "threshold,tau0=0.5,t_low=0.1" (tau_t stays tau_0) or "reset,tau0=0.5,t_low=0.1"; the
// last two also take t_high, window and history=include, and the last boundary=TEXT, the one token that ends a step.
// Any of them takes top_p, which is 0.95 otherwise; of fields that are given twice the last counts. Throws reset::Error
// for anything else, naming it.
Policy parse_policy(const std::string& text, const reset::Vocabulary& vocabulary);

}  // namespace reasoner
