// Numbers from the command line. Each function throws reset::Error naming the option, the text and what was expected.
#pragma once

#include <cstdint>
#include <string>

namespace console {

// An integer in low..high.
std::int64_t to_integer(const std::string& option, const std::string& text, std::int64_t low, std::int64_t high);

// A finite number in low..high.
float to_real(const std::string& option, const std::string& text, float low, float high);

}  // namespace console
