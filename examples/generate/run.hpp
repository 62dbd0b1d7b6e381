// The whole tool behind its command line.
#pragma once

#include "options.hpp"

namespace generate {

// Reads the model, generates and reports. Throws reset::Error.
void run(const Options& options);

}  // namespace generate
