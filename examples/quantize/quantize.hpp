// The whole tool behind its command line.
#pragma once

#include "options.hpp"

namespace quantize {

// Reads, quantises, writes and reports. Throws reset::Error, or std::filesystem::filesystem_error; the output does not
// exist then.
void run(const Options& options);

}  // namespace quantize
