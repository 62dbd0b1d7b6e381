// What the calibration tool says: tables for people, JSON for engines.
#pragma once

#include <string>
#include <vector>

#include "choice.hpp"
#include "study.hpp"

namespace calibrate {

// The tables of a study, and what they amount to in words.
std::string report(const Study& study, const Choice& choice);

// An array, one object a study: model, task, the parameters, whether answers or only entropies speak for them, the
// number of problems, and the accuracy on the held-out split (null without answers).
std::string to_json(const std::vector<Study>& studies, const std::vector<Choice>& choices);

}  // namespace calibrate
