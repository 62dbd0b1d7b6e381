#include "arguments.hpp"

#include <cerrno>
#include <cstdlib>

#include <reset/status.hpp>

namespace console {

std::int64_t to_integer(const std::string& option, const std::string& text, std::int64_t low, std::int64_t high) {
  char* end = nullptr;
  errno = 0;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || errno != 0 || value < low || value > high) {
    throw reset::Error(option + " is \"" + text + "\", expected an integer in " + std::to_string(low) + ".." +
                       std::to_string(high));
  }
  return value;
}

// Tells what is not a number by its spelling: under -ffast-math a NaN cannot be told by comparing.
float to_real(const std::string& option, const std::string& text, float low, float high) {
  char* end = nullptr;
  const bool spelled = !text.empty() && text.find_first_not_of("0123456789.eE-+") == std::string::npos;
  const float value = spelled ? std::strtof(text.c_str(), &end) : 0.0F;
  if (!spelled || *end != '\0' || value < low || value > high) {
    throw reset::Error(option + " is \"" + text + "\", expected a number in " + std::to_string(low) + ".." +
                       std::to_string(high));
  }
  return value;
}

}  // namespace console
