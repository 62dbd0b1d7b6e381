// Values from the command line. Each function throws reset::Error naming the option, the text and what was expected.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <reset/status.hpp>

namespace console {

// An integer in low..high.
std::int64_t to_integer(const std::string& option, const std::string& text, std::int64_t low, std::int64_t high);

// A finite number in low..high.
float to_real(const std::string& option, const std::string& text, float low, float high);

// What stands for the name `text`.
template <class Value>
Value choose(const std::string& option, const std::string& text, const std::map<std::string, Value>& choices) {
  const auto found = choices.find(text);
  if (found != choices.end()) return found->second;
  std::string names;
  for (const auto& choice : choices) names += (names.empty() ? "" : ", ") + choice.first;
  throw reset::Error(option + " is \"" + text + "\", expected one of " + names);
}

}  // namespace console
